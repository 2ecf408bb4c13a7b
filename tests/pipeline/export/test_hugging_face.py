"""A run as a Hugging Face data set, opened by `datasets` itself: pictures without a cast."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cli.runs import main
from pipeline.export.hugging_face import _file, write_dataset
from pipeline.ledger.forgetting import forget
from pipeline.ledger.reader import open_run
from pipeline.storage.store import open_store
from tests.support.picture_runs import commit_pictures
from tests.support.tasks import make_inputs


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return pytest.importorskip("datasets")


def test_datasets_shows_pictures_by_itself(tmp_path: Path, datasets: object) -> None:
    store, into = open_store(str(tmp_path / "out")), tmp_path / "set"
    run_id = commit_pictures(store, make_inputs(7), 200).run_id
    arguments = ["publish", store.uri, run_id, "--as", "huggingface", "--into", str(into)]
    assert main(arguments) == 0
    rows = datasets.load_dataset(  # type: ignore[attr-defined]
        "parquet", data_files=f"{into}/crops/*.parquet", split="train"
    )
    assert rows.features["image"] == datasets.Image()  # type: ignore[attr-defined]
    assert [rows[n]["image"].size for n in range(7)] == [(6, 4)] * 7
    assert rows[3]["image"].getpixel((0, 0)) == (200, 200, 200)
    plain = open_run(store.uri, run_id).crops(["uri", "score"])
    assert rows["uri"][:] == plain["uri"].to_pylist()
    assert rows["score"][:] == plain["score"].to_pylist()
    by_card = datasets.load_dataset(str(into), split="train")  # type: ignore[attr-defined]
    assert by_card.num_rows == 7
    assert by_card.features == rows.features


def test_a_data_set_is_told_and_cut_into_groups_of_a_hundred(tmp_path: Path) -> None:
    run_id = commit_pictures(store := open_store(str(tmp_path / "out")), make_inputs(7), 200).run_id
    into = open_store(str(tmp_path / "set"))
    counts = write_dataset(open_run(store.uri, run_id), into)
    files = sorted(Path(into.uri, "crops").iterdir())
    assert counts == {"files": len(files), "rows": 7, "photos": 7}
    assert [file.name for file in files] == [f"train-{n:05d}.parquet" for n in range(len(files))]
    assert len(files) > 1
    assert "7 crops of 7 photos." in Path(into.uri, "README.md").read_text()
    row = {"image": b"x", "image_id": "i", "ratio": "1:1", "rank": 0, "format": "webp"}
    rows = pa.Table.from_pylist([row] * 250)
    groups = pq.ParquetFile(pa.BufferReader(_file(rows))).metadata
    assert [groups.row_group(n).num_rows for n in range(groups.num_row_groups)] == [100, 100, 50]


def test_what_is_live_without_forgotten_photos_and_with_all_columns(
    tmp_path: Path, datasets: object
) -> None:
    store, into = open_store(str(tmp_path / "out")), tmp_path / "set"
    shops = make_inputs(3).append_column("shop", pa.array(["a", "b", "c"]))
    for inputs, shade in ((shops, 10), (make_inputs(3, start=3), 20)):
        assert main(["promote", store.uri, commit_pictures(store, inputs, shade).run_id]) == 0
    forget(store, make_inputs(1)["image_id"].to_pylist())
    assert main(["publish", store.uri, "--as", "huggingface", "--into", str(into)]) == 0
    rows = datasets.load_dataset(  # type: ignore[attr-defined]
        "parquet", data_files=f"{into}/crops/*.parquet", split="train"
    )
    found = sorted(rows, key=lambda row: row["uri"])
    assert [row["uri"] for row in found] == make_inputs(6)["uri"].to_pylist()[1:]
    assert [row["shop"] for row in found] == ["b", "c", None, None, None]
    shades = [row["image"].getpixel((0, 0))[0] for row in found]
    assert shades == [10, 10, 20, 20, 20]


def test_a_data_set_written_again_holds_nothing_of_the_earlier_one(
    tmp_path: Path, datasets: object
) -> None:
    store, into = open_store(str(tmp_path / "out")), tmp_path / "set"
    inputs = make_inputs(7)
    assert main(["promote", store.uri, commit_pictures(store, inputs, 30).run_id]) == 0
    publish = ["publish", store.uri, "--as", "huggingface", "--into", str(into)]
    assert main(publish) == 0
    assert len(list(into.glob("crops/*"))) == 3  # tasks of three photos
    rows = datasets.load_dataset(str(into), split="train")  # type: ignore[attr-defined]
    assert len(rows) == 7  # and these are in the cache of `datasets` from now on
    others = [into / "crops" / name for name in ("train-0001.parquet", "train-00002.parquet.md5")]
    for other in others:
        other.write_bytes(b"of a person")
    forget(store, inputs["image_id"].to_pylist()[2:])
    assert main(publish) == 0
    names = {file.name for file in into.glob("crops/*")}
    assert names == {"train-00000.parquet", *(other.name for other in others)}
    others[0].unlink()
    rows = datasets.load_dataset(str(into), split="train")  # type: ignore[attr-defined]
    assert rows["uri"][:] == ["s3://ugc/000000.jpg", "s3://ugc/000001.jpg"]
    assert "2 crops of 2 photos." in (into / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--as", "huggingface"], "into is where a data set goes"),
        (["--as", "iceberg", "--into", "x"], "into is where a data set goes"),
        (["--as", "iceberg", "--delta"], "delta and --as iceberg are two things"),
        (["--catalog", "ours"], "catalog is of Iceberg tables"),
        (["RUN", "--channel", "x"], "channel is of what is live"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err.replace("--", "--")
