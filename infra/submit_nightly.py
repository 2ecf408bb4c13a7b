"""Create one night's RayJob from a template and wait until it has ended.

    python submit_nightly.py ray_job.yaml

Runs in the CronJob's pod (kubernetes/nightly.yaml) with two rights: create and get RayJobs. The
day is the one before the Job's *scheduled* time, which is part of its name, so a start that is
hours late still processes the right day; DAY=2026/11/21 in the environment overrides it. The
RayJob's name is derived from the day: a second caller finds the first one's RayJob and watches it.

Exit codes: 0 the run is committed; 1 it failed, exceeds its error rate (set in ray_job.yaml) or did
not pass its gate; 2 wrong usage; 75 the API server was unreachable for too long: start again.
"""

import datetime
import http.client
import json
import os
import re
import ssl
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
POLL_S = 15.0
UNREACHABLE_LIMIT_S = 900.0  # how long the API server may fail to answer
DONE, FAILED, USAGE, TRY_AGAIN = 0, 1, 2, 75
TERMINAL_STATES = {"Complete", "Failed", "ValidationFailed"}
RayJob = dict[str, Any]


@dataclass(frozen=True)
class Api:
    """The Kubernetes API server, as a pod reaches it. Each call reads the token: it rotates."""

    url: str
    account: Path = ACCOUNT

    def call(self, path: str, body: RayJob | None = None) -> RayJob:
        """Send a GET, or a POST if there is a body. Raises HTTPError or another OSError.

        An answer that was cut off (the server went away while sending it), or that is not an
        object, raises an OSError, as no answer does: it says nothing about the run.
        """
        headers = {
            "Authorization": f"Bearer {(self.account / 'token').read_text().strip()}",
            "Content-Type": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers)
        authority = self.account / "ca.crt"
        context = None
        if self.url.startswith("https:"):
            context = ssl.create_default_context(cafile=str(authority))
        try:
            with urllib.request.urlopen(request, timeout=30, context=context) as answer:
                found = json.load(answer)
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"an answer that is not whole: {error!r}") from error
        if not isinstance(found, dict):
            raise OSError(f"an answer that is no object: {found!r:.80}")
        return found


def reason(error: urllib.error.HTTPError) -> str:
    """Return the API server's reason for a refusal, as far as it can be read."""
    try:
        return error.read(2000).decode(errors="replace")
    except (http.client.HTTPException, OSError) as cut:
        return f"its reason was cut: {cut!r}"


def day_to_run(job_name: str, chosen: str = "") -> datetime.date:
    """Return the day to run: `chosen` (2026/11/21), else the day before the Job's scheduled time.

    A CronJob names its Jobs <name>-<minutes since 1970 of the scheduled time>, which have eight
    digits; a Job that is named by the second, which have ten, needs `chosen`. Raises ValueError.
    """
    if chosen:
        return datetime.datetime.strptime(chosen, "%Y/%m/%d").date()
    minutes = re.search(r"-(\d{8})$", job_name)
    if not minutes:
        raise ValueError(f"the Job {job_name!r} has no scheduled time in its name: set DAY")
    scheduled = datetime.datetime.fromtimestamp(int(minutes[1]) * 60, datetime.UTC)
    return scheduled.date() - datetime.timedelta(days=1)


def ray_job(template: str, day: datetime.date, owner_name: str, owner_uid: str) -> RayJob:
    """Build the RayJob of one day. The Job that creates it owns it: deleting that ends the run."""
    text = template.replace("{day}", f"{day:%Y/%m/%d}").replace("{name}", f"{day:%Y-%m-%d}")
    job: RayJob = yaml.safe_load(text)
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": owner_name, "uid": owner_uid}
    job["metadata"]["ownerReferences"] = [owner]
    return job


def create(api: Api, job: RayJob) -> str:
    """Create the RayJob unless it exists; return its path in the API."""
    group, namespace = job["apiVersion"], job["metadata"]["namespace"]
    folder = f"/apis/{group}/namespaces/{namespace}/rayjobs"
    path = f"{folder}/{job['metadata']['name']}"
    try:
        api.call(folder, job)
        print(f"created {path}", flush=True)
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise
        print(f"{path} exists already: watching it", flush=True)
    return path


def watch(
    api: Api, path: str, poll_s: float = POLL_S, unreachable_limit_s: float = UNREACHABLE_LIMIT_S
) -> int:
    """Print each change of the RayJob's status until it has ended; return the exit code."""
    printed, last_answer_s = "", time.monotonic()
    while True:
        try:
            status = api.call(path).get("status") or {}
            last_answer_s = time.monotonic()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                print(f"{path} was deleted: stopped by hand", flush=True)
                return FAILED
            status = {"message": f"the API server says {error.code}"}
        except OSError as error:
            status = {"message": f"the API server does not answer: {error}"}
        if time.monotonic() - last_answer_s > unreachable_limit_s:
            return TRY_AGAIN
        deployment, outcome = status.get("jobDeploymentStatus", ""), status.get("jobStatus", "")
        line = " ".join(filter(None, (deployment, outcome, status.get("message", ""))))
        if line != printed:
            print(line, flush=True)
            printed = line
        if deployment in TERMINAL_STATES:
            return DONE if (deployment, outcome) == ("Complete", "SUCCEEDED") else FAILED
        time.sleep(poll_s)


def main(arguments: list[str], environment: dict[str, str]) -> int:
    """Submit the night's RayJob and watch it; return the exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return USAGE
    try:
        name, uid = environment["JOB_NAME"], environment["JOB_UID"]
        day = day_to_run(name, environment.get("DAY", ""))
        host, port = environment["KUBERNETES_SERVICE_HOST"], environment["KUBERNETES_SERVICE_PORT"]
    except (KeyError, ValueError) as error:
        print(f"submit_nightly: {error}", file=sys.stderr)
        return USAGE
    api = Api(f"https://{f'[{host}]' if ':' in host else host}:{port}")
    try:
        path = create(api, ray_job(Path(arguments[0]).read_text(), day, name, uid))
    except urllib.error.HTTPError as error:
        print(f"submit_nightly: {error.code}: {reason(error)}", file=sys.stderr)
        return FAILED if error.code in (400, 403, 404, 422) else TRY_AGAIN
    except OSError as error:
        print(f"submit_nightly: the API server does not answer: {error}", file=sys.stderr)
        return TRY_AGAIN
    return watch(api, path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], dict(os.environ)))
