"""The sample of photos: each folder and size has its share, in every task."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline import schema
from pipeline.estimate.sample import LEAST_TASKS, _by_folder_and_size, draw_sample
from tests.support.small_pieces import in_small_pieces


def photos(folders: dict[str, int], seed: int = 1) -> pa.Table:
    """A list sorted by uri, as `list_all` gives it. Sizes are drawn, 1 kB to 1 MB."""
    random = np.random.default_rng(seed)
    rows = [
        {"image_id": f"{folder}{n}", "uri": f"s3://b/{folder}/{n:05}.jpg", "etag": "e",
         "bytes": int(10 ** random.uniform(3, 6))}
        for folder, count in folders.items() for n in range(count)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schema.INPUTS).sort_by("uri")


def folders_of(inputs: pa.Table) -> Counter[str]:
    return Counter(uri.split("/")[3] for uri in inputs["uri"].to_pylist())


def test_folders_have_their_share() -> None:
    sample = draw_sample(photos({"a": 3_000, "b": 900, "c": 100}), 400, 64, 2)
    counts = folders_of(sample.inputs)
    assert abs(counts["a"] - 300) <= 1
    assert abs(counts["b"] - 90) <= 1
    assert abs(counts["c"] - 10) <= 1


def test_sizes_have_their_share_within_a_folder() -> None:
    every = photos({"a": 5_000})
    sample = draw_sample(every, 500, 64, 2)
    ends = np.percentile(every["bytes"].to_numpy(), np.arange(0, 101, 10))
    counts, _ = np.histogram(sample.inputs["bytes"].to_numpy(), ends)
    assert np.abs(counts - 50).max() <= 1, "a tenth of the sample in each tenth of the sizes"


def test_a_long_list_is_sorted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Arrow sorts all of it: by folder, unknown sizes first, equal ones as listed."""
    random = np.random.default_rng(5)
    folders = ["b", "a", "ä", "a/b", "", "😀", "a-"]
    rows = [
        {"image_id": str(n), "uri": f"s3://x/{folders[random.integers(7)]}/{n}.jpg", "etag": "",
         "bytes": None if random.random() < 0.2 else int(random.integers(4))}
        for n in range(60)
    ]  # fmt: skip
    every = pa.Table.from_pylist(rows, schema=schema.INPUTS)
    keys = pa.table(
        {
            "folder": [row["uri"].rpartition("/")[0] + "/" for row in rows],
            "bytes": [-1 if row["bytes"] is None else row["bytes"] for row in rows],
        }
    )
    by = [("folder", "ascending"), ("bytes", "ascending")]
    expected = pc.sort_indices(keys, sort_keys=by).to_pylist()
    in_small_pieces(monkeypatch)
    assert _by_folder_and_size(every).tolist() == expected
    assert len(_by_folder_and_size(every.slice(0, 0))) == 0


def test_no_photo_is_taken_twice_and_all_are_where_there_are_few() -> None:
    every = photos({"a": 77})
    ids = every["image_id"].to_pylist()
    for wanted in (1, 10, 76, 77, 500):
        taken = draw_sample(every, wanted, 64, 2).inputs["image_id"].to_pylist()
        assert len(set(taken)) == len(taken) == min(wanted, 77)
        assert set(taken) <= set(ids)


def test_every_photo_has_the_same_chance() -> None:
    """Over all random starts, as the list is turned round, each photo is taken equally often."""
    every = photos({"a": 60})
    taken: Counter[str] = Counter()
    for turn in range(60):
        sizes = pa.array(np.roll(np.arange(60), turn))  # another photo is the smallest
        turned = every.set_column(3, schema.INPUTS.field("bytes"), sizes)
        taken.update(draw_sample(turned, 7, 64, 1).inputs["image_id"].to_pylist())
    assert set(taken.values()) == {7}


def test_each_task_stands_for_all_photos() -> None:
    sample = draw_sample(photos({"a": 3_000, "b": 3_000}), 480, 64, 2)
    assert sample.cuts.task_count == LEAST_TASKS
    assert sample.cuts.rows == sample.inputs.num_rows == 480
    for task in sample.cuts.tasks:
        rows = sample.inputs.slice(task.start, len(task))
        assert folders_of(rows) == {"a": 15, "b": 15}
        spread = rows["bytes"].to_numpy()
        assert spread.max() > 50 * spread.min()


def test_there_are_tasks_for_all_workers_and_none_larger_than_the_run_s() -> None:
    every = photos({"a": 4_000})
    assert draw_sample(every, 500, 64, 30).cuts.task_count == 120
    assert draw_sample(every, 500, 5, 2).cuts.task_count == 100
    assert draw_sample(every, 9, 64, 30).cuts.task_count == 9, "never an empty one"


def test_photos_of_unknown_size_are_drawn_too() -> None:
    every = photos({"a": 100})
    nothing = pa.nulls(100, pa.int64())
    unknown = every.set_column(3, schema.INPUTS.field("bytes"), nothing)
    assert draw_sample(unknown, 10, 64, 1).inputs.num_rows == 10
