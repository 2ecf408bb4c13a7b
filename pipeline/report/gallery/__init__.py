"""Write a gallery of a run: static pages that show its photos, crops and what needs eyes."""
