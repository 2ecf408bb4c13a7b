"""Training crop scorers on photos whose crops people scored: `fit.train` is the whole of it."""
