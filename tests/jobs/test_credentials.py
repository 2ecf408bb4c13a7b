"""Credentials as canaries: after successful and failed jobs, nothing that is kept contains them.

That is the jobs' output, Ray's job API, every file in its log folder, every object in the output
store, and Parquet footers and text columns (which are compressed, so the files are read as tables).
"""

import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.cli.local_services import RayHead, ray_head
from pipeline.storage.store import Store, open_store
from tests.conftest import S3_ENVIRONMENT
from tests.support.crop_jobs import QUICK, start, tree
from tests.support.odd_photos import scene

__all__ = ["tree"]  # a fixture
ROOT = Path(__file__).resolve().parents[2]
CANARIES = {
    "AWS_ACCESS_KEY_ID": f"CANARYKEY{secrets.token_hex(6)}",
    "AWS_SECRET_ACCESS_KEY": f"canary-secret-{secrets.token_hex(12)}",
    "AWS_SESSION_TOKEN": f"canary-token-{secrets.token_hex(12)}",
}


@pytest.fixture(scope="module")
def head(s3_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    environment = {**S3_ENVIRONMENT, **CANARIES, "AWS_ENDPOINT_URL": s3_server}
    with ray_head(tmp_path_factory.mktemp("ray-log"), environment, cpus=2) as started:
        yield started


def run(tree: Path, head: RayHead, *arguments: str) -> tuple[int, str]:
    process = start(tree, head, *arguments, submit=True)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def everything_in(store: Store) -> Iterator[tuple[str, str]]:
    """(name, text) of every object; of a Parquet file its footer and all its values."""
    for info in store.list():
        data = store.read(info.key)
        if info.key.endswith(".parquet"):
            file = pq.ParquetFile(BytesIO(data))
            yield info.key, f"{file.metadata} {file.schema_arrow} {file.schema_arrow.metadata}"
            yield info.key, str(file.read().to_pylist())
        yield info.key, data.decode("latin-1")


def job_api(head: RayHead) -> Iterator[tuple[str, str]]:
    """What Ray's job API tells about all jobs, their logs included."""
    token = {"Authorization": f"Bearer {head.environment['RAY_AUTH_TOKEN']}"}

    def get(path: str) -> str:
        request = urllib.request.Request(head.dashboard_url + path, headers=token)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    listing = get("/api/jobs/")
    yield "/api/jobs/", listing
    for job in json.loads(listing):
        if job.get("submission_id"):
            yield job["submission_id"], get(f"/api/jobs/{job['submission_id']}/logs")


def log_files(head: RayHead) -> Iterator[tuple[str, str]]:
    for path in head.folder.rglob("*"):
        if path.is_file() and "logs" in path.parts:
            yield str(path), path.read_text(errors="replace")


def test_credentials_are_kept_nowhere(tree: Path, head: RayHead, s3: str) -> None:
    store = open_store(s3)
    picture = BytesIO()
    Image.fromarray(scene(96, 64)).save(picture, "JPEG")
    store.write("in/good.jpg", picture.getvalue())
    store.write("in/bad.jpg", b"no picture")
    texts: list[tuple[str, str]] = []
    good, output = run(tree, head, "--input", f"{s3}/in/", "--output", f"{s3}/out")
    texts.append(("the good job", output))
    bad, output = run(tree, head, "--input", f"{s3}/in/", "--output", "s3://no-such-bucket/out")
    texts.append(("the failing job", output))
    assert (good, bad != 0) == (0, True), texts
    texts += [*everything_in(store), *job_api(head), *log_files(head)]
    assert len([name for name, _ in texts if name.endswith(".parquet")]) >= 8
    assert len([name for name, _ in texts if "/logs/" in name]) > 10
    assert any("no-such-bucket" in text for _, text in texts), "the error is reported somewhere"
    found = [
        f"{name} of {variable}"
        for name, text in texts
        for variable, value in {**CANARIES, **_token(head)}.items()
        if value in text
    ]
    assert found == []


def _token(head: RayHead) -> dict[str, str]:
    return {"RAY_AUTH_TOKEN": head.environment["RAY_AUTH_TOKEN"]}


@pytest.mark.parametrize("option", ["--input", "--output", "--weights"])
def test_credentials_in_arguments_are_refused(option: str, tmp_path: Path) -> None:
    arguments = {"--input": str(tmp_path), "--output": str(tmp_path / "out")}
    arguments[option] = "s3://AKIAIOSFODNN7EXAMPLE:canary-secret@bucket/x"
    words = [word for pair in arguments.items() for word in pair]
    done = subprocess.run(
        [sys.executable, "jobs/crop_bucket.py", *QUICK[:4], *words],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 2
    for secret in ("AKIA", "canary-secret"):
        assert secret not in done.stdout + done.stderr
