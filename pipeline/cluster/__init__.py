"""Do tasks on a Ray cluster. The only part of the line that imports ray.

joining  join a cluster, or start one of the job's own
shares   share it out among the stages
flow     bring tasks through the stages: bounded, so that none is starved
causes   what Ray's errors say, in a line
"""

import os

# Ray waits so long before it ends the node that a job has started for itself; read at its import.
os.environ.setdefault("RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "0")
