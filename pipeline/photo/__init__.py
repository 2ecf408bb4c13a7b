"""Pictures of strangers to pixels, in a child process with limits."""
