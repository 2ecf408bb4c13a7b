"""Environment variables that configure Ray's processes; ray is not imported here."""

LOOPBACK_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Set to 0, all of Ray is on loopback where it is told so, as by itself on macOS and Windows.
Otherwise it takes the machine's outward address for 127.0.0.1: a head that listens on loopback
alone is not found, and its GCS server, raylet, agents and workers listen on all interfaces."""
ON_LOOPBACK = {LOOPBACK_SWITCH: "0"}

KEEPS_WORKERS = {"RAY_idle_worker_killing_time_threshold_ms": "3600000"}
"""Of a raylet: a worker that has nothing to do stays for an hour. By itself Ray ends it after a
second where actors take the cores, and a reader waits longer than that for the actors to score:
nearly every task began with a new reader and its decoding child, 1.3 s of CPU."""

UNWATCHED = {
    "RAY_enable_metrics_collection": "0",
    "RAY_event_stats": "0",
    "RAY_task_events_report_interval_ms": "0",
}
"""Of a node that the job starts for itself: nobody could read its metrics and events, and all of
Ray's processes collect them, by the clock; the GCS server keeps 10 KB of events a task."""
