"""The version, in a place everything may import."""

VERSION = "0.1.0"
