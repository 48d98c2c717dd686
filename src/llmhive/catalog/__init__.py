"""What we know: pure values and functions; no I/O, no clock, no environment."""
