"""Whole files: the catalog written out."""
