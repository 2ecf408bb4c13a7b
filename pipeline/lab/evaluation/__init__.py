"""Measure how good the crops are: a data set through the production code path, and baselines.

baselines             the methods to compare with
measures, photo       one photo, all methods -> one row
acceptance            whether people accept a crop
calibration, reliability
                      whether people accept crops as often as their confidence predicts
summary, fairness     rows -> figures with intervals
plots, report         figures -> JSON and HTML
cluster               the same rows, computed on Ray
"""
