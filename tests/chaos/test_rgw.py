"""Ceph's gateway, a real S3 server: create-once, strange keys, and the store itself killed.

tests/chaos/rgw.sh fetch DIR        once, about 250 MB from Debian's archive
CHAOS_RGW=DIR pytest -m chaos tests/chaos/test_rgw.py -s
"""

import os
import random
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from pipeline.cli.local_services import free_ports
from pipeline.inputs.listing import list_all
from pipeline.inputs.reading import read_image
from pipeline.storage.store import open_store
from tests.chaos.campaign import (
    GIVE_UP_S,
    Figures,
    Trap,
    Victims,
    count_reads,
    examine,
    start_reader,
    wait_for_all,
)
from tests.conftest import S3_ENVIRONMENT
from tests.pipeline.storage.test_storage import STRANGE_KEYS
from tests.support.faultproxy import FaultProxy

pytestmark = pytest.mark.chaos
FOLDER = os.environ.get("CHAOS_RGW", "")
SCRIPT = Path(__file__).with_name("rgw.sh")
KILLS = int(os.environ.get("CHAOS_RGW_KILLS", "6"))


def rgw(*words: str) -> str:
    command = ["bash", str(SCRIPT), words[0], FOLDER, *words[1:]]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=600)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    if not FOLDER:
        pytest.skip("set CHAOS_RGW to a folder that rgw.sh has fetched into")
    try:
        yield rgw("up", str(*free_ports(1)))
    finally:
        rgw("down")


@pytest.fixture
def bucket(gateway: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in {**S3_ENVIRONMENT, "AWS_ENDPOINT_URL": gateway}.items():
        monkeypatch.setenv(name, value)
    name = f"test-{uuid.uuid4().hex[:12]}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


def test_of_many_creators_one_wins(bucket: str) -> None:
    """Nothing between the writers and the server: sixteen at once, forty times."""
    store = open_store(bucket)
    store.probe_create_once()
    start = threading.Barrier(16)
    won: list[tuple[int, int]] = []

    def create(writer: int) -> None:
        for number in range(40):
            start.wait()
            if store.create_once(f"race/{number}", str(writer).encode()):
                won.append((number, writer))

    threads = [threading.Thread(target=create, args=(writer,)) for writer in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(number for number, _ in won) == list(range(40))
    for number, writer in won:
        assert store.read(f"race/{number}") == str(writer).encode()


def test_strange_keys(bucket: str) -> None:
    keys = [*STRANGE_KEYS, "new\nline", "tab\t", "\r\n..\n/", " ", "\u202e", "a\u0301", "\u00e1"]
    client = boto3.client("s3")
    for key in keys:
        client.put_object(
            Bucket=bucket[5:], Key=f"in/{key}", Body=key.encode(), ContentType="image/jpeg"
        )
    table = list_all(f"{bucket}/in/").table
    assert sorted(table["uri"].to_pylist()) == sorted(f"{bucket}/in/{key}" for key in keys)
    for row in table.to_pylist():
        assert read_image(row["uri"], row["etag"]) == row["uri"][len(bucket) + 4 :].encode()


def test_the_store_is_killed_while_jobs_write(bucket: str, gateway: str, tmp_path: Path) -> None:
    """kill -9 of the gateway or of the disk's process, again and again; both jobs get through."""
    draw = random.Random(5)
    figures = Figures()
    while figures.kills.total() < KILLS:
        output = f"{bucket}/run-{figures.runs}"
        report = tmp_path / f"reads-{figures.runs}.txt"
        with FaultProxy(gateway, Trap({"slow": 0.5}, figures.runs), delay_s=0.1) as proxy:
            victims = Victims(output, proxy.address, figures.runs, draw)
            reader = start_reader(victims, report)
            try:
                for number in range(2):
                    victims.start(f"job-{number}")
                while victims.alive() and figures.kills.total() < KILLS:
                    time.sleep(draw.uniform(1, 4))
                    part = draw.choice(["rgw", "osd"])
                    rgw("kill", part)
                    figures.kills[part] += 1
                    time.sleep(draw.uniform(0, 3))
                    rgw("start", part)
                    _answers(gateway)
                wait_for_all(victims)
                time.sleep(1)
            finally:
                victims.stop()
                reader.kill()
                reader.join()
            figures.requests += proxy.counts
        figures.runs += 1
        count_reads(report, figures)
        examine(output, figures)
        print(figures, flush=True)
    assert (figures.lost, figures.doubled, figures.partial_reads) == (0, 0, 0)
    assert figures.problems == []


def _answers(gateway: str) -> None:
    """Wait until the store serves again; killing it while it comes up would prove nothing more."""
    end = time.monotonic() + GIVE_UP_S
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(gateway, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the gateway did not come back")
