"""The three stages of a run. Each takes one block and returns one; a block is a whole task.

read          task number          -> the task, with a row per photo and its pixels
crop          task with pixels     -> the task with objects and chosen crops
commit        task with crops      -> a summary, once the task is recorded
in_one        the last two in one worker

task, wire    a task and its rows; the same as Arrow tables
worker        what a worker process keeps: job, store, ledger, decoding child
attempt       one stage's work on one photo
worker_deaths photos that kill or hang their worker
memory, heap  whether the machine is short of memory; freed memory is given back
meter         what a stage costs
same_bytes, seen_before
              photos with the bytes of another one of the task, or of an earlier run
recall        decisions of an earlier run instead of an engine's
fine_view     a finer view for small boxes that a person locked, and within wide borders
encode, task_crops, preview
              crops and previews as files

A photo that fails stays in its task as a row with a failure. Problems of the whole task, such as a
store that does not answer or a lost row, are raised.
"""
