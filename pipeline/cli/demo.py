"""Show the whole product on this machine: photos into an S3 server, a Ray job, a gallery of crops.

Starts an embedded S3 server and a Ray head with token authentication on free loopback ports,
uploads photos, runs the very command that one would run on a cluster
(`ray job submit … jobs/crop_bucket.py`), writes a gallery, and stops all that it started.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.command_line import FAILED, run
from pipeline.options import option

if TYPE_CHECKING:
    from pipeline.cli.local_services import S3Server

ROOT = Path(__file__).resolve().parents[2]  # a checkout, or where packages are installed
RATIOS = "1:1,4:3,16:9,9:16,3:4,circle"
PHOTO_BUCKET, THUMBNAIL_BUCKET = "photos", "thumbnails"
TASK_IMAGES = 5  # small tasks, so that ten photos already keep two workers busy
PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".heic"}
# The real photographs inside two packages that the demo installs anyway.
PACKAGED_PHOTOS = {
    "skimage.data": (
        "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png",
        "camera.png", "coins.png", "hubble_deep_field.jpg",
    ),
    "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
}  # fmt: skip


@dataclass(frozen=True)
class Demo:
    """What the demo shows."""

    photos: Path | None = option(
        None, "folder of your own photos; else ten that are installed", placeholder="FOLDER"
    )
    out: Path = option(Path("demo-output"), "where the gallery goes", placeholder="FOLDER")
    ratios: str = option(RATIOS, "shapes, by comma", placeholder="SHAPES")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run(Demo, __doc__, show, arguments)


def show(demo: Demo) -> int:
    """Run the demo, say where its page is; returns the exit code."""
    from pipeline.cli.local_services import ServiceError

    # Ctrl-C and a polite kill both leave through the `with` blocks, which stop the services.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        page = run_demo(demo.photos, demo.out, demo.ratios)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (ServiceError, DemoError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return FAILED
    print(f"\nThe crops are on this page:\n  {page.resolve().as_uri()}#/photos")
    return 0


class DemoError(RuntimeError):
    """The demo cannot go on; the message says what to do."""


def run_demo(photos: Path | None, out: Path, ratios: str) -> Path:
    """Run the demo; returns the page. Raises DemoError or ServiceError."""
    from pipeline import open_run
    from pipeline.cli.local_services import ray_head, s3_server
    from pipeline.report.gallery.build import write_gallery
    from pipeline.storage.store import open_store

    paths = list(photo_paths(photos))
    leave_callers_cluster()
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="demo-logs") as logs, s3_server(Path(logs)) as s3:
        say(f"S3 server at {s3.endpoint_url}; uploading {len(paths)} photos")
        upload(paths, s3)
        with ray_head(Path(logs), s3.environment) as head:
            say(f"Ray head at {head.dashboard_url} (token authentication); submitting the job")
            submit(head.dashboard_url, head.environment, ratios)
        os.environ.update(s3.environment)
        made = write_gallery(open_run(f"s3://{THUMBNAIL_BUCKET}/demo"), open_store(str(out)))
    say(f"done in {time.monotonic() - started:.0f} s")
    return out / made.index


def leave_callers_cluster() -> None:
    """Drop RAY_* and AWS_* variables: they would send the demo to somebody's production."""
    for name in [name for name in os.environ if name.startswith(("RAY_", "AWS_"))]:
        del os.environ[name]


def photo_paths(folder: Path | None) -> Iterator[Path]:
    """The photos of `folder` and of the folders in it, or else those that ship with packages."""
    if folder is None:
        for package, names in PACKAGED_PHOTOS.items():
            yield from (Path(str(files(package) / name)) for name in names)
        return
    if not folder.is_dir():
        raise DemoError(f"{folder} is not a folder; give one that holds photos")
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PHOTO_SUFFIXES]
    if not found:
        raise DemoError(f"{folder} holds no {', '.join(sorted(PHOTO_SUFFIXES))} files")
    yield from found


def upload(paths: list[Path], s3: "S3Server") -> None:
    """Put the photos into the bucket; files of one name in several folders stay apart."""
    import s3fs

    store = s3fs.S3FileSystem(
        endpoint_url=s3.endpoint_url,
        key=s3.environment["AWS_ACCESS_KEY_ID"],
        secret=s3.environment["AWS_SECRET_ACCESS_KEY"],
    )
    store.mkdir(PHOTO_BUCKET)
    store.mkdir(THUMBNAIL_BUCKET)
    for index, path in enumerate(paths):
        store.pipe_file(f"{PHOTO_BUCKET}/{index:04d}-{path.name}", path.read_bytes())


def submit(dashboard_url: str, environment: Mapping[str, str], ratios: str) -> None:
    """Run the crop job as on a cluster; its log goes to this terminal. Raises DemoError."""
    if (ROOT / "jobs" / "crop_bucket.py").is_file():
        source, job_command = ["--working-dir", str(ROOT)], ["python", "jobs/crop_bucket.py"]
    else:  # installed: the cluster's Python has the packages
        source, job_command = [], ["python", "-m", "pipeline.cli.crop"]
    command = [
        *(sys.executable, "-m", "ray.scripts.scripts", "job", "submit"),
        *("--address", dashboard_url, *source, "--", *job_command),
        *("--input", f"s3://{PHOTO_BUCKET}/", "--output", f"s3://{THUMBNAIL_BUCKET}/demo"),
        *("--ratios", ratios, "--task-images", str(TASK_IMAGES)),
    ]
    job = subprocess.Popen(
        command,
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with job:
        for line in job.stdout or ():
            if "packaging.py" not in line:  # a line for every ignored file says nothing here
                print(line, end="", flush=True)
    if job.returncode != 0:
        raise DemoError(f"the job failed with exit code {job.returncode}; its log is above")


def say(line: str) -> None:
    """Print a line of the demo's own."""
    print(f"demo: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
