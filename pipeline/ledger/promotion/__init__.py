"""Bring a committed run to its readers: measure it for a gate, promote it, publish its crops."""
