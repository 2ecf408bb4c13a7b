"""Parse photos' files: formats, what they state about a picture, damage."""
