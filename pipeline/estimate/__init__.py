"""Estimate what a run would take, from a sample that is processed and thrown away.

trial.py       processes the sample, on the available cluster
sample.py      draws the photos that represent all, and cuts them into tasks
measure.py     measures what the sample took, and how fast the cluster was
forecast.py    forecasts what the whole run would take, each figure with a range
prices.py      computes what that costs
ranges.py      95 % ranges of figures
formatting.py  formats the forecast for a person, and as one document
"""
