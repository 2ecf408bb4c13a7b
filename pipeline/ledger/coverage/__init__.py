"""Find which photos of a list are to be done: what committed runs cover, and an index of that.

incremental  the photos to be done, and why; the entry point
compare      the list against each committed run, or the part of the index that stands for it
nearness     how near the runs came to covering each photo
listed       the list's values that decide a photo's crops, as one hash
key_ranges   a list cut by the photos' ids, so that only a part is in memory
unfinished   similar runs that were started and not committed
seen         photos of earlier runs that may have the same bytes

The index of covered photos:
covered      reads it
covered_rows, compaction
             its rows; writes it
old_indexes  indexes that may be removed
"""
