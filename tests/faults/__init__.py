"""Real faults: processes killed, stopped and cut off, and what must hold afterwards all the same."""
