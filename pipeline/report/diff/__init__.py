"""Compare two runs crop by crop: figures by slice, and pages that show before and after."""
