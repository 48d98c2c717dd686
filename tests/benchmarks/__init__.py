"""Benchmarks: ratios taken in one run against the floor; ``make bench``."""
