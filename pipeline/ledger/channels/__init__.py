"""Keep which runs are live in which channel, version after version."""
