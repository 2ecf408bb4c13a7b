"""Decode untrusted photos in a sandboxed child process."""
