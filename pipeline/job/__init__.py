"""Plan a job before its work, and commit its run afterwards.

planning         finds out what there is to do
planned          holds the run that will do it
plan_warnings    tells a person what a plan found, such as runs that wait
networks         reads the weights that it needs, and chooses the backbone
encoding         chooses the format of its crops
cutting          cuts it into tasks
concurrent_jobs  shares the tasks with other jobs that do the run at the same time
ending           commits it, reports the result and makes it live
"""

from pipeline.job.concurrent_jobs import skip_recorded_elsewhere
from pipeline.job.cutting import cut_for, task_photos
from pipeline.job.ending import commit, earlier_verdict, ending_of, failures
from pipeline.job.planned import PlannedRun
from pipeline.job.planning import check_crop_names, plan

__all__ = [
    "PlannedRun",
    "check_crop_names",
    "commit",
    "cut_for",
    "earlier_verdict",
    "ending_of",
    "failures",
    "plan",
    "skip_recorded_elsewhere",
    "task_photos",
]
