"""Exporting what is live in several channels: each crop belongs to its own run's photo."""

from pathlib import Path

from pipeline import open_run
from pipeline.export.crops import ExportedCrop, NotCropped, export_decisions
from pipeline.storage.store import open_store
from tests.support.put_live import put
from tests.support.row_runs import commit_rows, crop_row, image_row

FAILED, REPLACED, SAME = (f"s3://ugc/{name}.jpg" for name in ("failed", "replaced", "same"))


def test_a_crop_has_the_sizes_that_its_own_run_found(tmp_path: Path) -> None:
    """The run in front failed on one photo, and found a smaller, turned file for another."""
    behind = commit_rows(
        str(tmp_path),
        [image_row(uri, (400, 300)) for uri in (FAILED, REPLACED, SAME)],
        [crop_row(uri, "1:1", (100, 0, 400, 300)) for uri in (FAILED, REPLACED, SAME)],
        settings={"ratios": "1:1", "top_k": 1},
    )
    front = commit_rows(
        str(tmp_path),
        [
            image_row(
                FAILED, None, status="too_large", error_stage="read", error_kind="circumstances"
            ),
            image_row(REPLACED, (160, 90), orientation=6),
            image_row(SAME, (400, 300)),
        ],
        [crop_row(REPLACED, "16:9", (0, 0, 160, 90)), crop_row(SAME, "16:9", (0, 0, 400, 225))],
        settings={"ratios": "16:9", "top_k": 1},
    )
    store = open_store(str(tmp_path))
    for name, run in (("square", behind), ("wide", front)):
        put(store, run.manifest["run_id"], name=name)
    found = list(export_decisions(open_run(str(tmp_path))))
    crops = {(one.uri, one.ratio): one for one in found if isinstance(one, ExportedCrop)}
    assert {key: (one.photo_wh, one.box, one.orientation) for key, one in crops.items()} == {
        (FAILED, "1:1"): ((400, 300), (100, 0, 400, 300), 1),
        (REPLACED, "1:1"): ((400, 300), (100, 0, 400, 300), 1),
        (SAME, "1:1"): ((400, 300), (100, 0, 400, 300), 1),
        (REPLACED, "16:9"): ((160, 90), (0, 0, 160, 90), 6),
        (SAME, "16:9"): ((400, 300), (0, 0, 400, 225), 1),
    }
    (missing,) = (one for one in found if isinstance(one, NotCropped))
    assert (missing.uri, missing.status) == (FAILED, "too_large")


def test_what_lacks_a_crop_in_any_channel_is_told_once(tmp_path: Path) -> None:
    """In front: 1:1 and 16:9. Behind: 1:1, which always comes from the front, and 3:4."""
    broken = {"status": "corrupt", "error_stage": "decode", "error_kind": "permanent"}
    skipped = {"skipped": [{"ratio": ratio, "reason": "heads"} for ratio in ("1:1", "3:4")]}
    twice, once = "s3://ugc/twice.jpg", "s3://ugc/once.jpg"
    square = commit_rows(
        str(tmp_path),
        [image_row(SAME, (400, 300), **broken)],
        [],
        settings={"ratios": "1:1", "top_k": 1},
    )
    behind = commit_rows(
        str(tmp_path),
        [
            image_row(twice, None, **broken),
            image_row(once, None, **broken),
            image_row(SAME, (400, 300), **skipped),
        ],
        [],
        settings={"ratios": "1:1,3:4", "top_k": 1},
    )
    front = commit_rows(
        str(tmp_path),
        [image_row(twice, None, **broken), *(image_row(uri, (400, 300)) for uri in (once, SAME))],
        [crop_row(uri, "1:1", (0, 0, 300, 300)) for uri in (once, SAME)],
        settings={"ratios": "1:1,16:9", "top_k": 1},
    )
    store = open_store(str(tmp_path))
    for name, run in (("square", square), ("tall", behind), ("wide", front)):
        put(store, run.manifest["run_id"], name=name)
    found = list(export_decisions(open_run(str(tmp_path))))
    missing = [(one.uri, one.status, one.ratio) for one in found if isinstance(one, NotCropped)]
    assert missing == [(twice, "corrupt", None), (once, "corrupt", None), (SAME, "ok", "3:4")]
