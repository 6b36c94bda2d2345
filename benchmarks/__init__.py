"""Speed, measured against peers in one run on one machine: ``python -m benchmarks --help``."""
