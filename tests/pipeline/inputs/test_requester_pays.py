"""A requester-pays bucket: all requests that read it say so, and no other request does."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli.runs.removal import Prune
from pipeline.inputs.listing import list_all
from pipeline.inputs.reading import read_image
from pipeline.settings import Settings
from pipeline.storage.store import Store, open_store
from tests.support.faultproxy import FaultProxy, Request
from tests.support.odd_photos import saved, scene
from tests.support.one_process import run_here

HEADER = b"x-amz-request-payer: requester"


@pytest.fixture
def asked(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Request]]:
    """The requests that go to the server from here on."""
    seen: list[Request] = []

    def note(request: Request) -> None:
        seen.append(request)

    with FaultProxy(os.environ["AWS_ENDPOINT_URL"], note) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
        yield seen


def paid(requests: list[Request]) -> list[bool]:
    return [HEADER in request.head.lower() for request in requests]


def test_reading_heading_and_listing_pay(s3: str, asked: list[Request]) -> None:
    plain, paying = open_store(s3), open_store(s3, requester_pays=True)
    plain.write("ugc/a.jpg", b"abc")
    asked.clear()
    copied: Store = pickle.loads(pickle.dumps(paying))
    for store in (paying, copied):
        assert store.read("ugc/a.jpg") == b"abc"
        assert store.head("ugc/a.jpg").bytes == 3
        assert [info.key for info in store.list("ugc/")] == ["ugc/a.jpg"]
        assert store.folders("") == ("ugc",)
    assert paid(asked) == [True] * 8
    asked.clear()
    plain.read("ugc/a.jpg")
    plain.head("ugc/a.jpg")
    assert list(plain.list("ugc/"))
    assert paid(asked) == [False] * 3


def test_lists_and_photos_of_an_input_pay(s3: str, asked: list[Request]) -> None:
    store = open_store(s3)
    store.write("ugc/a.jpg", b"abc")
    store.write("lists/l.csv", f"uri\n{s3}/ugc/a.jpg\n".encode())
    asked.clear()
    (row,) = list_all(f"{s3}/ugc/", requester_pays=True).table.to_pylist()
    assert list_all(f"{s3}/lists/l.csv", requester_pays=True).table.num_rows == 1
    assert read_image(row["uri"], row["etag"], requester_pays=True) == b"abc"
    assert len(asked) >= 3
    assert all(paid(asked))


def test_a_job_pays_for_its_input_alone(s3: str, asked: list[Request], tmp_path: Path) -> None:
    open_store(s3).write("ugc/a.jpg", saved(scene(120, 100), "JPEG"))
    asked.clear()
    given = {"input": f"{s3}/ugc/", "output": f"{s3}/out", "ratios": "1:1"}
    manifest = run_here(Settings.of(**given, requester_pays=True))
    assert manifest.metrics.ok == 1
    for request, pays in zip(asked, paid(asked), strict=True):
        assert pays == ("ugc" in request.path and request.method == "GET"), request.path
    assert sum(paid(asked)) >= 2  # the listing and the photo
    assert Settings.of(**given, requester_pays=True).identity() == Settings.of(**given).identity()
    asked.clear()
    command = Prune(output=f"{s3}/out", input=f"{s3}/ugc/", requester_pays=True)
    assert command.run() == 0
    assert sum(paid(asked)) == 1
