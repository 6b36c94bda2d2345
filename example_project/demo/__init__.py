"""The demo: real processes, a real SIGKILL, and the effects counted by plain SQL."""
