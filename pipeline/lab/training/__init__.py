"""Train crop scorers on photos whose crops people scored; `fit.train` does all of it."""
