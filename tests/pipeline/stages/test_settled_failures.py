"""Photos that failed only because of a night's circumstances are retried once these change."""

import io

import boto3
import numpy as np
import pytest

from pipeline.job import plan
from pipeline.ledger.reader import open_run
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stages.worker import end_worker
from tests.support.odd_photos import saved, scene
from tests.support.one_process import run_here


def test_a_restored_and_a_late_photo_are_done_in_the_next_night(s3: str) -> None:
    client, bucket, photo = boto3.client("s3"), s3[5:], saved(np.asarray(scene()), "JPEG")
    client.put_object(Bucket=bucket, Key="in/ok.jpg", Body=photo)
    client.put_object(Bucket=bucket, Key="in/ice.jpg", Body=photo, StorageClass="GLACIER")
    names = "".join(f"{s3}/in/{name}.jpg\n" for name in ("ok", "ice", "late"))
    client.put_object(Bucket=bucket, Key="list.csv", Body=f"uri\n{names}".encode())
    settings = Settings.of(
        input=f"{s3}/list.csv", output=f"{s3}/out", ratios="1:1", weights="untrained"
    )
    try:
        run_here(settings)
        rows = open_run(f"{s3}/out").images(["uri", "status"]).to_pylist()
        assert {row["uri"].rpartition("/")[2]: row["status"] for row in rows} == {
            "ok.jpg": "ok", "ice.jpg": "archived", "late.jpg": "not_found",
        }  # fmt: skip
        client.put_object(Bucket=bucket, Key="in/late.jpg", Body=photo)  # it has arrived
        client.put_object(Bucket=bucket, Key="in/ice.jpg", Body=photo)  # restored: the same ETag
        todo = plan(settings, Log(stream=io.StringIO())).todo
        assert (todo.reasons, todo.covered) == ({"circumstances": 2}, 1)
        run_here(settings)
    finally:
        end_worker()
    assert open_run(f"{s3}/out").images(["status"])["status"].to_pylist() == ["ok"] * 3
    assert plan(settings, Log(stream=io.StringIO())).todo.reasons == {}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
