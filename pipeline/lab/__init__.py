"""Measuring and training: data sets, evaluation, training, the recipe of the packaged weights.

Nothing that makes crops imports this package, and no run id depends on it. A change here therefore
leaves every committed run as it is.
"""
