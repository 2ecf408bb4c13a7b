"""Keep the state of runs in create-once records in the output store, and read it."""
