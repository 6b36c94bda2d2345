"""An expense that waits for a form sent by mail: the promise of pausing for a person."""
