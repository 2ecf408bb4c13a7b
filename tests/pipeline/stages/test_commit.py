"""The last stage: whether a crop file or preview that cannot be written fails the photo."""

from pathlib import Path
from typing import Any

import pytest

from pipeline import open_run
from pipeline.errors import EncodeError, LedgerError
from pipeline.settings import Settings
from pipeline.stages import task_crops
from pipeline.stages.attempt import attempt
from pipeline.stages.preview import preview_of
from pipeline.stages.task import PhotoRow, Preview
from pipeline.storage.backend import StoreRefusedError, StoreUnavailableError
from pipeline.storage.store import Store, open_store
from tests.support.block_transfer import run_with_transfers, write_scenes

pytestmark = pytest.mark.usefixtures("_workers_end_with_the_test")


def settings_for(folder: Path, **more: Any) -> Settings:
    asked: dict[str, Any] = {
        "input": str(folder / "in"), "output": str(folder / "out"), "ratios": "1:1",
        "thumbnail_size": 32, "guards": "off", "preview": 0, "crop_files": True,
    }  # fmt: skip
    return Settings.of(**{**asked, **more})


@pytest.mark.parametrize(
    "failure",
    [
        StoreUnavailableError("throttled", "no answer to a put within 120 s: SlowDown"),
        StoreRefusedError("refuses a put: AccessDenied"),
    ],
)
@pytest.mark.parametrize("names", [True, "{stem}/{ratio}.{format}"])
def test_a_store_that_takes_no_crop_files_fails_no_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception, names: str | bool
) -> None:
    write_scenes(tmp_path / "in", 2)
    settings, write = settings_for(tmp_path, crop_files=names), Store.write

    def outage(store: Store, key: str, data: bytes) -> None:
        if key.startswith("crops/"):
            raise failure
        write(store, key, data)

    monkeypatch.setattr(Store, "write", outage)
    with pytest.raises(type(failure)):
        run_with_transfers(settings)
    store = open_store(str(tmp_path / "out"))
    assert not [i.key for i in store.list("runs/") if "/tasks/" in i.key or "MANIFEST" in i.key]
    monkeypatch.setattr(Store, "write", write)
    assert run_with_transfers(settings).metrics.statuses == {"ok": 2}
    for crop in open_run(store.uri).crops(["file", "image"]).to_pylist():
        assert store.read(crop["file"]) == crop["image"]


def test_a_photo_whose_preview_fails_has_no_crops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails_once(row: PhotoRow, *about: Any) -> Preview:
        if row.uri.endswith("0.jpg"):
            raise EncodeError("encoder_failed", "no memory")
        return preview_of(row, *about)

    write_scenes(tmp_path / "in", 2)
    monkeypatch.setattr(task_crops, "preview_of", fails_once)
    manifest = run_with_transfers(settings_for(tmp_path, preview=32))
    assert manifest.metrics.statuses == {"ok": 1, "encoder_failed": 1}
    run = open_run(str(tmp_path / "out"), manifest.run_id)
    assert [Path(one).name for one in run.crops(["uri"])["uri"].to_pylist()] == ["1.jpg"]


def test_what_is_about_the_run_is_no_failure_of_a_photo() -> None:
    def work(row: PhotoRow) -> None:
        raise LedgerError("the store is away")

    row = PhotoRow("0" * 32, "s3://b/a.jpg")
    with pytest.raises(LedgerError, match="away"):
        attempt(row, "read", work)
    assert row.failure is None
