"""How good the crops are: a data set through the production code path, beside baselines.

baselines, prior      methods without a network; gaic_baseline: the one without a graph
measures, photo       one photo, all methods -> one row
acceptance            whether people accept a crop
calibration, reliability
                      whether a crop's confidence says how often they do
summary, fairness     rows -> figures with intervals
plots, report         figures -> JSON and HTML
cluster               the same rows, made on Ray
"""
