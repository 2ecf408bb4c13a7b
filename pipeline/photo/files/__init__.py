"""Read photos' files part by part: formats, what they say of a picture, what is damaged."""
