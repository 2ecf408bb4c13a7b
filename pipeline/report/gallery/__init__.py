"""Write a gallery of a run: static pages of its photos, crops and what needs attention."""
