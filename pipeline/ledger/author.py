"""Identify who acts on an output store, for the records that keep it."""

import getpass
import os
import socket

import msgspec


def whoami() -> str:
    """Return user@host, with the id of the Ray job if this process belongs to one."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = f"uid-{os.getuid()}"
    job = os.environ.get("RAY_JOB_SUBMISSION_ID") or _ray_job()
    return f"{user}@{socket.gethostname()}" + (f" (job {job})" if job else "")


def _ray_job() -> str:
    """Return the submission id of the Ray job whose driver this process is, or ""."""
    try:
        config = msgspec.json.decode(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
        return str(config.get("metadata", {}).get("job_submission_id", ""))
    except (msgspec.DecodeError, AttributeError):
        return ""
