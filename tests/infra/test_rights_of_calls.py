"""Every store call of jobs and garbage collections, checked against the bucket permissions.

moto does not evaluate conditions; this test does, as far as the documents use them.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pipeline.ledger.forgetting import forget
from pipeline.ledger.garbage import look_for_garbage, remove_garbage
from pipeline.ledger.promotion.promotion import rollback
from pipeline.ledger.promotion.publishing import publish_files
from pipeline.ledger.reader import open_run
from pipeline.stages.worker import end_worker
from pipeline.storage.local import LocalBackend
from pipeline.storage.store import Store, open_store
from tests.infra.test_bucket_rights import POLICIES, listed
from tests.support.odd_photos import scene
from tests.support.one_process import run_here, settings_of

torch.set_num_threads(1)
BUCKET = "arn:aws:s3:::thumbs"
ACTIONS = {
    "get": "s3:GetObject", "head": "s3:GetObject", "put": "s3:PutObject",
    "create": "s3:PutObject", "delete": "s3:DeleteObject", "list_page": "s3:ListBucket",
    "folders": "s3:ListBucket",
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """A request to the store by a role. name: the backend's method; key: of the object."""

    role: str
    name: str
    key: str

    @property
    def is_refused(self) -> str:
        """Which statement refuses it; "" where it may be."""
        policy = {"s2cnet-job": "job_policy", "s2cnet-gc": "gc_policy"}[self.role]
        for statement in POLICIES["bucket_policy"]["Statement"]:
            if statement["Effect"] == "Deny" and self.meets(statement):
                return str(statement["Sid"])
        given = (s for s in POLICIES[policy]["Statement"] if s["Effect"] == "Allow")
        return "" if any(self.meets(statement) for statement in given) else "not allowed"

    def meets(self, statement: dict[str, Any]) -> bool:
        action = ACTIONS[self.name]
        place = BUCKET if action == "s3:ListBucket" else f"{BUCKET}/{self.key}"
        resources = listed(statement.get("Resource", statement.get("NotResource")))
        inside = any(fnmatchcase(place, pattern) for pattern in resources)
        return (
            any(fnmatchcase(action, pattern) for pattern in listed(statement["Action"]))
            and inside == ("Resource" in statement)
            and all(
                self.holds(operator, name, value)
                for operator, pairs in statement.get("Condition", {}).items()
                for name, value in pairs.items()
            )
        )

    def holds(self, operator: str, name: str, value: Any) -> bool:
        match operator, name, value:
            case "Null", "s3:if-none-match", "true":
                return self.name != "create"
            case "Bool", "s3:ObjectCreationOperation", "true":
                return ACTIONS[self.name] == "s3:PutObject"
            case "Bool", "aws:SecureTransport", "false":
                return False
            case "ArnNotEquals", "aws:PrincipalArn", _:
                return f"arn:aws:iam::111122223333:role/{self.role}" not in listed(value)
            case "StringLike", "s3:prefix", _:  # of the bucket of photos
                return False
        raise AssertionError(f"a condition that is not known here: {operator} {name} {value}")


@dataclass
class Calls:
    """Every call to a store; role: of whoever makes those that follow."""

    role: str = "s2cnet-job"
    made: list[Call] = field(default_factory=list)

    def of(self, *names: str) -> set[tuple[str, str]]:
        """Method and first folder of the calls to some methods."""
        return {(c.name, c.key.split("/")[0]) for c in self.made if c.name in names}

    def refused(self) -> list[tuple[str, str, str]]:
        return [(c.name, c.key, c.is_refused) for c in self.made if c.is_refused]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[Calls]:
    """Records the calls to stores in folders."""
    made = Calls()

    def record(name: str) -> None:
        plain = getattr(LocalBackend, name)

        def call(self: LocalBackend, key: str, *given: Any) -> Any:
            made.made.append(Call(made.role, name, key))
            return plain(self, key, *given)

        monkeypatch.setattr(LocalBackend, name, call)

    for name in ACTIONS:
        record(name)
    yield made
    end_worker()


def night(folder: Path, *names: str, **changes: Any) -> Store:
    """A job of the input, which holds these photos; they are other ones each time."""
    shutil.rmtree(folder / "in", ignore_errors=True)
    (folder / "in").mkdir()
    for number, name in enumerate(names):
        shift = time.time_ns() % 50
        Image.fromarray(scene(90 + 10 * number + shift, 80)).save(folder / "in" / name)
    settings = settings_of(folder / "in", channel="web", guards="off", **changes)
    run_here(settings)
    return open_store(str(folder / "out"))


def forget_first(store: Store) -> None:
    forget(store, open_run(store.uri).images(["image_id"])["image_id"].to_pylist()[:1])


def collect(store: Store, calls: Calls) -> set[str]:
    """Collect under the collector's role, as if all were old enough; why objects went."""
    calls.role = "s2cnet-gc"
    garbage = look_for_garbage(store, 0, time.time() + 60).garbage
    remove_garbage(store, garbage)
    return {one.why for one in garbage}


def test_a_job_that_publishes_named_crops_may_do_all_that_it_does(
    tmp_path: Path, calls: Calls
) -> None:
    """Three nights: the first photo changes, and the second is forgotten."""
    crop_files = "{stem}/{ratio}.{format}"
    for _ in range(2):
        store = night(tmp_path, "a.jpg", "b.jpg", crop_files=crop_files)
    forget_first(store)
    night(tmp_path, "c.jpg", crop_files=crop_files)
    rollback(store, "web")
    publish_files(store, "web")
    assert calls.of("put", "delete") == {
        ("put", "_data"), ("put", "crops"), ("put", "runs"), ("put", "public"),
        ("put", "published"), ("delete", "public"),
    }  # fmt: skip
    assert calls.refused() == []


def test_a_collection_may_do_all_that_it_does(tmp_path: Path, calls: Calls) -> None:
    """Of a forgotten photo, of names that are live no more, and of a run that was taken back."""
    crop_files = "{stem}/{ratio}.{format}"
    night(tmp_path, "a.jpg", "b.jpg", crop_files=crop_files)
    store = night(tmp_path, "c.jpg", "d.jpg", crop_files=crop_files)
    forget_first(store)
    rollback(store, "web")
    calls.made.clear()
    assert collect(store, calls) == {
        "forgotten photos", "crop file", "published file", "old crop file",
    }  # fmt: skip
    assert calls.of("put", "delete") == {
        ("put", "published"), ("put", "runs"), ("delete", "public"), ("delete", "crops"),
        ("delete", "runs"), ("delete", "_data"),
    }  # fmt: skip
    assert calls.refused() == []


def test_without_named_crops_nobody_needs_a_right_to_published_ones(
    tmp_path: Path, calls: Calls
) -> None:
    store = night(tmp_path, "a.jpg", "b.jpg")
    forget_first(store)
    collect(store, calls)
    touched = {c.name for c in calls.made if c.key.startswith(("public/", "published/"))}
    assert touched == {"list_page"}
    assert calls.refused() == []


def test_what_nobody_may_do_is_refused() -> None:
    for role, name, key, why in (
        ("s2cnet-job", "put", "runs/a/input/b.parquet", "RecordsAreCreatedNeverReplaced"),
        ("s2cnet-gc", "put", "runs/a/input/b.parquet", "RecordsAreCreatedNeverReplaced"),
        ("s2cnet-job", "put", "channels/web/00000001.json", "PointersAreCreatedNeverReplaced"),
        ("s2cnet-job", "delete", "crops/a/b.webp", "NobodyDeletesButTheCollector"),
        ("s2cnet-job", "delete", "published/web.parquet", "NobodyDeletesButTheCollector"),
        ("s2cnet-gc", "delete", "published/web.parquet", "not allowed"),
        ("s2cnet-gc", "delete", "runs/a/_MANIFEST.json", "CommitsAreNeverDeleted"),
        ("s2cnet-gc", "put", "public/web/a.webp", "not allowed"),
        ("s2cnet-job", "create", "runs/a/input/b.parquet", ""),
        ("s2cnet-job", "delete", "public/web/a.webp", ""),
    ):
        assert Call(role, name, key).is_refused == why, (role, name, key)
