"""The documentation: its generated parts, and the tests that keep all of it true."""
