"""Keep what is true about runs, in create-once records in the output store, and read it."""
