"""Tests of pricing whole files."""
