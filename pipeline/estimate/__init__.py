"""Estimate what a run would take, from a sample that is worked on and thrown away.

trial.py     works on the sample, on the cluster at hand
sample.py    which photos stand for all, and in which tasks
measure.py   what the sample took, and how fast the cluster was
forecast.py  what the whole run would take, each figure with a range
prices.py    what that costs
tell.py      for a person, and as one document
"""
