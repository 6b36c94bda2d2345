"""Many rows, many sleepers, many children."""
