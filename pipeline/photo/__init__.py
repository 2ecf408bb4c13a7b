"""Decodes uploaded photos in a child process with limits; cuts and encodes thumbnails."""
