"""How it runs: the only floor with a clock, an environment and a network."""
