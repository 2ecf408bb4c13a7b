"""Do tasks on a Ray cluster. The only part of the line that imports ray.

joining        joins a cluster, or starts one for the job
first_machine  waits for the first machine
nodes          lists its machines
shares         divides their cores and GPUs among the stages
demand         asks an autoscaler for more machines
growing        does a run's tasks, and divides again when machines join, or the last GPU is lost
flow           moves tasks through the stages, with a bounded number in flight
workers        the stages as Ray runs them: functions for tasks, classes for actors
actor_pool     starts and replaces the actors of a flow
actor          one of them, as the driver sees it
capacity       how many actors and tasks of a flow run at once
gpu_loss       notes that all GPUs are lost, and says so
causes         summarises Ray's errors in one line
"""

import os

# Ray reads these on import.
# How long it waits before it ends the node that a job started for itself.
os.environ.setdefault("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "0")
# Lines that it doesn't print: `demand` asks for machines that aren't there, which is no fault.
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "tasks with infeasible resource requests")
