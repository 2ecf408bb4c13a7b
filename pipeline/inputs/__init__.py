"""List the photos of a run, and read one."""
