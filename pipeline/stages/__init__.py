"""The stages of a run: one block in, one block out, where a block is a whole task.

    read.py     task number          -> a row per photo, with its pixels
    crop.py     rows with pixels     -> the same rows with objects and chosen crops
    commit.py   rows with crops      -> one summary row, once the task is on record

Nothing leaves a stage but rows; see `attempt.py`. A failure that concerns the whole task (the store
is gone, a row got lost) does raise.
"""
