"""The systems under measure, a file each; imported only in a process of its own, see ``benchmarks.process``."""
