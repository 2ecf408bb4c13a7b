"""Measuring and training: data sets, evaluation, training, the recipe of the packaged weights.

Nothing that makes crops imports this package, and it is in no run id: a change here leaves every
committed run as it is.
"""
