"""Make a committed run available: measure it for a gate, promote it, publish its crops."""
