"""Decode uploaded photos in a child process with limits; cut and encode thumbnails."""
