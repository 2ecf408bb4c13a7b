"""Plan a job before its work, and commit its run afterwards.

planning  what there is to do
planned   the run that is to do it
encoding  the format of its crops
cutting   its tasks
ending    the commit, what is told of it, and what goes live
"""

from pipeline.job.cutting import cut_for, task_photos
from pipeline.job.ending import commit, ending_of, failures, verdict_of
from pipeline.job.planned import PlannedRun
from pipeline.job.planning import check_crop_names, plan

__all__ = [
    "PlannedRun",
    "check_crop_names",
    "commit",
    "cut_for",
    "ending_of",
    "failures",
    "plan",
    "task_photos",
    "verdict_of",
]
