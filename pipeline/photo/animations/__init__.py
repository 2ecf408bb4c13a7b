"""Decode every frame of a moving picture."""
