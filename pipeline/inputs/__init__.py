"""Which photos a run is about, and how to read one."""
