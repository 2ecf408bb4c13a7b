"""Show the whole product on this machine: photos in an S3 server, a Ray job, a gallery of crops.

Starts an embedded S3 server and a Ray head with token authentication on free loopback ports,
uploads photos, runs the same command as on a cluster (`ray job submit … jobs/crop_bucket.py`),
writes a gallery, and stops everything that it started. With --services-only it starts the two
services, prints how to use them, and stops them at Ctrl-C.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.demo_photos import (
    PHOTO_BUCKET,
    THUMBNAIL_BUCKET,
    named,
    photos_of,
    upload,
)
from pipeline.command_line import FAILED, run
from pipeline.options import option
from pipeline.output_files import make_folder
from pipeline.words import counted

if TYPE_CHECKING:
    from pipeline.cli.local_services import RayHead, S3Server

ROOT = Path(__file__).resolve().parents[2]  # a checkout, or the folder of installed packages
RATIOS = "1:1,4:3,16:9,9:16,3:4,circle"
PRINTED_EVENTS = {"plan", "workers", "wall", "untrained", "failed", "over_error_rate", "waiting"}
PROGRESS_S = 30.0  # between two progress lines of a long job
LAST_LINES = 12  # of the job's log, shown if it fails


class DemoError(RuntimeError):
    """The demo cannot go on; the message says what to do."""


@dataclass(frozen=True)
class Demo:
    """What the demo shows."""

    photos: Path | None = option(
        None, "folder of your own photos; default: ten installed ones", placeholder="FOLDER"
    )
    out: Path = option(Path("demo-output"), "for the gallery and the logs", placeholder="FOLDER")
    ratios: str = option(RATIOS, "comma-separated shapes", placeholder="SHAPES")
    services_only: bool = option(
        False, "only start the S3 server, with the photos in it, and the Ray head, until Ctrl-C"
    )

    def __post_init__(self) -> None:
        from pipeline.settings import Settings  # not for --help

        Settings.of(ratios=self.ratios)  # reports a misspelt shape before anything is started


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run(Demo, __doc__, show, arguments)


def show(demo: Demo) -> int:
    """Run the demo and print where its page is; returns the exit code."""
    from pipeline.cli.local_services import ServiceError

    # Ctrl-C and SIGTERM both exit through the `with` blocks, which stop the services.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if demo.services_only:
            serve(demo)
            return 0
        page = run_demo(demo)
    except (ServiceError, DemoError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return FAILED
    print(f"The crops are on this page:\n  {page.resolve().as_uri()}#/photos")
    return 0


def run_demo(demo: Demo) -> Path:
    """Run the demo; returns the page's path. Raises DemoError, ServiceError or SettingError."""
    from pipeline import open_run
    from pipeline.cli.local_services import ray_head, s3_server
    from pipeline.report.gallery.build import write_gallery
    from pipeline.storage.store import open_store

    photos, logs = photos_of(demo.photos), log_folder(demo.out)
    clear_connection_variables()
    started = time.monotonic()
    with s3_server(logs) as s3:
        say(f"S3 server at {s3.endpoint_url}; uploading {photos}")
        upload(photos, s3)
        with ray_head(logs, s3.environment) as head:
            say(f"Ray head at {head.dashboard_url} (token authentication); all logs in {logs}")
            submit(head, logs / "job.log", demo.ratios)
        os.environ.update(s3.environment)
        done = open_run(f"s3://{THUMBNAIL_BUCKET}/demo")
        for line in without_crops(done.images(["uri", "status"]).to_pylist()):
            say(line)
        crops = done.crops(["uri"]).num_rows
        made = write_gallery(done, open_store(str(demo.out)))
    say(f"{counted(crops, 'crop')} in {time.monotonic() - started:.0f} s")
    return demo.out / made.index


def without_crops(images: Sequence[Mapping[str, str]]) -> list[str]:
    """Describe the photos without crops, one line for each status."""
    by_status: dict[str, list[Path]] = {}
    for row in images:
        by_status.setdefault(row["status"], []).append(Path(row["uri"]))
    return [
        f"no crops ({status}): {named(tuple(paths))}"
        for status, paths in sorted(by_status.items())
        if status != "ok"
    ]


def serve(demo: Demo) -> None:
    """Start the services and print how to use them; stop them at Ctrl-C.

    Raises ServiceError or SettingError.
    """
    from pipeline.cli.local_services import ray_head, s3_server

    photos, logs = photos_of(demo.photos), log_folder(demo.out)
    clear_connection_variables()
    exports = demo.out / "services.env"
    with s3_server(logs) as s3:
        upload(photos, s3)
        with ray_head(logs, s3.environment) as head:
            say(f"S3 server at {s3.endpoint_url}; s3://{PHOTO_BUCKET}/ has {photos}")
            say(f"Ray head at {head.dashboard_url} (token authentication); logs in {logs}")
            write_exports(exports, s3, head)
            say("in another terminal, until you press Ctrl-C here:")
            print(f"  . {shlex.quote(str(exports))}")
            print(
                f"  ray job submit --working-dir . -- {' '.join(job_command(RATIOS))}", flush=True
            )
            try:
                while True:
                    signal.pause()
            except KeyboardInterrupt:
                say("stopping")
            finally:
                exports.unlink(missing_ok=True)


def write_exports(path: Path, s3: "S3Server", head: "RayHead") -> None:
    """Write the variables to export in a shell; only the owner may read them: one is a token."""
    from pipeline.ray_variables import ON_LOOPBACK  # clients that join have to use it too

    of_ray = (*ON_LOOPBACK, "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    values = {
        **s3.environment,
        **{name: head.environment[name] for name in of_ray},
        "RAY_ADDRESS": head.address,  # for `python jobs/crop_bucket.py`
        "RAY_API_SERVER_ADDRESS": head.dashboard_url,  # for `ray job submit`
    }
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("".join(f"export {n}={shlex.quote(v)}\n" for n, v in values.items()), "utf-8")


def log_folder(out: Path) -> Path:
    """Make and return the folder for the logs of the services and the job. Raises SettingError."""
    logs = out / "logs"
    make_folder(logs, "out")
    return logs


def clear_connection_variables() -> None:
    """Drop RAY_* and AWS_* variables, which would send the demo to a production system.

    Proxy variables are dropped too: everything the demo connects to listens on loopback.
    """
    for name in list(os.environ):
        if name.startswith(("RAY_", "AWS_")) or name.lower().endswith("_proxy"):
            del os.environ[name]


def job_command(ratios: str) -> list[str]:
    """Return the command that is submitted as the job."""
    here = (ROOT / "jobs" / "crop_bucket.py").is_file()  # else the package is installed
    program = ["python", "jobs/crop_bucket.py"] if here else ["python", "-m", "pipeline.cli.crop"]
    places = ["--input", f"s3://{PHOTO_BUCKET}/", "--output", f"s3://{THUMBNAIL_BUCKET}/demo"]
    return [*program, *places, "--ratios", ratios]


def submit(head: "RayHead", log: Path, ratios: str) -> None:
    """Run the crop job as on a cluster; log it to a file and print important events.

    Raises DemoError.
    """
    job = [*job_command(ratios), "--log-format", "json"]
    source = ["--working-dir", str(ROOT)] if job[1].startswith("jobs/") else []
    command = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit"]
    command += ["--address", head.dashboard_url, *source, "--", *job]
    environment = {**os.environ, **head.environment, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace",
    )  # fmt: skip
    printed_s = time.monotonic()
    with process, log.open("w", encoding="utf-8") as file:
        for line in process.stdout or ():
            file.write(line)
            event = event_of(line)
            late = event.get("event") == "progress" and time.monotonic() > printed_s + PROGRESS_S
            if event.get("event") in PRINTED_EVENTS or late:
                printed_s = time.monotonic()
                say(event["message"])
    if process.returncode != 0:
        tail = "".join(log.read_text("utf-8").splitlines(keepends=True)[-LAST_LINES:])
        code = process.returncode
        raise DemoError(f"the job failed with exit code {code}; the end of {log}:\n{tail}")


def event_of(line: str) -> dict[str, str]:
    """Parse an event from the job's log; {} for a line that the job did not write."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def say(line: str) -> None:
    """Print one of the demo's own lines."""
    print(f"demo: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
