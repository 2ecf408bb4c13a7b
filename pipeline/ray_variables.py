"""Environment variables that configure Ray's processes; ray is not imported here."""

LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""With the value 0, all of Ray stays on loopback when asked to, as by default on macOS and Windows.
Otherwise it replaces 127.0.0.1 by the machine's outward address: a head that listens only on
loopback is not found, and its GCS server, raylet, agents and workers listen on all interfaces."""
ON_LOOPBACK = {LOOPBACK_SWITCH: "0"}

KEEP_IDLE_WORKERS = {"RAY_idle_worker_killing_time_threshold_ms": "3600000"}
"""For a raylet: it keeps an idle worker for an hour. By default Ray ends one after a second if
actors take the cores, and a reader waits longer than that for the actors to score: nearly every
task began with a new reader and its decoding child process, at 1.3 s of CPU."""

NO_TELEMETRY = {
    "RAY_enable_metrics_collection": "0",
    "RAY_event_stats": "0",
    "RAY_task_events_report_interval_ms": "0",
}
"""For a node that the job starts for itself: nobody could read its metrics and events, yet all of
Ray's processes collect them periodically, and the GCS server keeps 10 KB of events per task."""
