"""The three stages of a run. Each takes one block and returns one; a block is a whole task.

    read.py     task number          -> the task, with a row per photo and its pixels
    crop.py     task with pixels     -> the task with objects and chosen crops
    commit.py   task with crops      -> a summary, once the task is recorded

A photo that fails stays in its task as a row with a failure (`attempt.py`). Problems of the whole
task, such as a store that does not answer or a lost row, are raised.
"""
