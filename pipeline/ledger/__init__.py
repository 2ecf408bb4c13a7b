"""Keep the state of runs in create-once records in the output store, and read it.

A run, from its plan to its commit:
identity, plan, pinned  what determines a run; its tasks; its spec and pinned input list
ledger                  starts a run, records its tasks, commits it
contents, totals, figures
                        what the task records add up to; a run's figures while it goes on
tables, pictures        a task's tables as Parquet files
manifest, records       the manifest and its lists; every record as a typed document
layout, author          the keys of all objects; who acts on the store
card                    the run as a Hugging Face data set
failures                kinds of failures, and when each is retried

Many runs:
known_runs, stored_runs a run by its id; all runs of a store
indexes, manifest_copies
                        objects that only save time; copies of all manifests
coverage                which photos of a list still have to be processed
channels                which runs are live
promotion               makes runs live, and publishes their crops under names
retry                   the failed photos of a run
versions                a pointer moved by numbered versions

Reading what is committed:
reader, run_parts       tables of one or more runs; which rows come from which
columns, unify          one type for a column whose type differs between runs
stored_rows, sampling   rows of single photos; rows of a sample of tasks
differences, pair_parts two runs compared; their rows, a part of the photos at a time
table_formats           committed runs as Delta and Iceberg tables
bounded_map             a call on many items, in threads

Checks and removal:
audit, checked_files, wrong_crops, row_balance
                        a run verified byte by byte and row by row
forgetting, pruning     photos that are not to be shown: forgotten, or gone from the input
erasing, replaced       the removal of their bytes from committed files, and how readers follow
garbage, forgotten_garbage, removable
                        objects that no committed run needs
"""
