"""What a run is (its identity) and how its input is cut into tasks."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError

HASH_ROWS = 50_000  # rows turned into text at a time while the input list is hashed


@dataclass(frozen=True)
class RunSpec:
    """Everything that decides what a run writes. Two jobs with the same spec are the same run.

    settings:   those that change the output, JSON values only
    detector:   its identity (name and hash or version)
    parent:     the run whose failed images this one does again, if it is a retry
    generation: 0, or how often an abandoned run of this spec was begun anew
    """

    settings: Mapping[str, Any]
    weights_sha256: str
    detector: str
    code_version: str
    input_sha256: str
    parent: str | None = None
    generation: int = 0

    @cached_property
    def run_id(self) -> str:
        """20 hex digits of a SHA-256 over all fields: 80 bits, so chance collisions do not occur
        (one in 10¹² after 10⁶ runs, by the birthday bound n²/2⁸¹)."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def next_generation(self) -> "RunSpec":
        return replace(self, generation=self.generation + 1)


def spec_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One phrase per field in which two specs (as dicts) differ, settings one by one."""
    phrases = []
    for name in sorted({*old["settings"], *new["settings"]}):
        was, now = (spec["settings"].get(name, "absent") for spec in (old, new))
        if was != now:
            phrases.append(f"the setting {name} was {was!r} and is now {now!r}")
    for name, words in (
        ("weights_sha256", "the weights"),
        ("detector", "the detector"),
        ("code_version", "the code"),
        ("input_sha256", "the input list"),
    ):
        if old[name] != new[name]:
            phrases.append(f"{words} was {old[name][:60]} and is now {new[name][:60]}")
    return phrases


def input_sha256(inputs: pa.Table) -> str:
    """Hash of the pinned list: names, types and every value, however the table is chunked.

    A value enters as its length, a colon and its text, a null as "-", so no two lists read alike.
    """
    header = [(field.name, str(field.type)) for field in inputs.schema]
    digest = hashlib.sha256(json.dumps(header).encode())
    for batch in inputs.to_batches(max_chunksize=HASH_ROWS):
        pieces = []
        for column in batch.columns:
            text = _as_text(column)
            length = pc.binary_length(text.cast(pa.binary())).cast(pa.string())
            pieces.append(
                pc.if_else(pc.is_null(text), "-", pc.binary_join_element_wise(length, text, ":"))
            )
        digest.update("".join(pc.binary_join_element_wise(*pieces, "").to_pylist()).encode())
    return digest.hexdigest()


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_nested(column.type):
        values = column.to_pylist()
        return pa.array([None if v is None else json.dumps(v) for v in values], pa.string())
    return column.cast(pa.string())


@dataclass(frozen=True)
class Plan:
    """Tasks as row ranges of the input list: task n is the rows starts[n] to starts[n + 1]."""

    starts: tuple[int, ...]

    @property
    def task_count(self) -> int:
        return len(self.starts) - 1

    @property
    def rows(self) -> int:
        return self.starts[-1]

    @property
    def tasks(self) -> list[range]:
        return [self.task_rows(n) for n in range(self.task_count)]

    def task_rows(self, n: int) -> range:
        return range(self.starts[n], self.starts[n + 1])


def cut_tasks(inputs: pa.Table, task_images: int = 256, task_bytes: int = 128 << 20) -> Plan:
    """Cut the list, in its order, into tasks of at most `task_images` rows and `task_bytes` bytes.

    A picture larger than `task_bytes` is a task of its own; one of unknown size counts 0 bytes.
    """
    if task_images < 1 or task_bytes < 1:
        raise UsageError("a task holds at least 1 image and 1 byte")
    sizes = pc.fill_null(inputs["bytes"], 0).to_numpy()
    total = np.concatenate([[0], np.cumsum(sizes)])  # bytes before each row  # [rows + 1]
    starts = [0]
    while starts[-1] < inputs.num_rows:
        start = starts[-1]
        fitting = int(np.searchsorted(total, total[start] + task_bytes, side="right")) - 1
        starts.append(min(max(fitting, start + 1), start + task_images, inputs.num_rows))
    return Plan(tuple(starts))
