"""Whole files: the catalog written out, usages priced."""
