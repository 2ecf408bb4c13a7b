"""Decode strangers' photos in a child process that is shut in."""
