"""The file that keeps the outputs of held-out networks for the next run.

It is used only for the same networks, photos, labels and code: it begins with a key, a hash of all
of them. Computing the key reads every photo, which takes a second for a thousand of them.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import s2cnet
from pipeline.lab.datasets import Example
from pipeline.lab.fold_weights import FoldWeights
from pipeline.output_files import write_atomic
from pipeline.report.progress import Log
from s2cnet.checkpoints.files import STARTER, read_weights

DIGEST_BYTES = 32
# The code between a photo's file and its kept outputs, below pipeline/: rooms and single files.
HASHED_SOURCES = (
    "photo",
    "detectors",
    "cropping/candidates.py",
    "cropping/scoring.py",
    "cropping/search.py",
    "cropping/sources.py",
    "cropping/transfer.py",
    "boxes.py",
    "shapes.py",
    "lab/datasets/example.py",
    "lab/folds.py",
    "lab/fold_weights.py",
    "lab/people/held_out.py",
)


def cache_key(weights: FoldWeights, labelled: Sequence[tuple[str, Example]]) -> bytes:
    """Hash everything that determines the kept outputs of photos: 32 bytes.

    labelled: the photos, each with its set's name.

    Raises UsageError where a fold's file is missing, WeightsError where the packaged network is
    needed and this installation has none.
    """
    digest = hashlib.sha256()
    for part in _parts(weights, labelled):
        digest.update(hashlib.sha256(part).digest())
    return digest.digest()


def read_cached(cache: Path | None, key: bytes, log: Log) -> Any:
    """Read the outputs kept under this key; None where there are none or it is damaged."""
    if cache is None or not cache.is_file():
        return None
    data = cache.read_bytes()
    if not data.startswith(key):
        return None
    start = len(key) + DIGEST_BYTES
    outputs = data[start:]
    if hashlib.sha256(outputs).digest() != data[len(key) : start]:
        log.say("held_out", f"{cache} is damaged: the photos are processed again")
        return None
    return pickle.loads(outputs)


def write_cached(cache: Path | None, key: bytes, found: Any) -> None:
    """Write the outputs under this key, atomically, if there is a cache."""
    if cache is None:
        return
    outputs = pickle.dumps(found)
    write_atomic(cache, key + hashlib.sha256(outputs).digest() + outputs)


def _parts(weights: FoldWeights, labelled: Iterable[tuple[str, Example]]) -> Iterator[bytes]:
    for path in weights.files():
        yield path.read_bytes()
    if weights.networks is None:  # the packaged one scores all photos
        yield read_weights(STARTER)
    for path in _sources():
        yield path.read_bytes()
    for set_name, example in labelled:
        arrays = (example.human_px, example.fixations_px, example.heads_px)
        labels = [b"" if array is None else array.tobytes() for array in arrays]
        yield repr((set_name, example.id, example.image.name, *labels)).encode()
        yield example.image.read_bytes()


def _sources() -> Iterator[Path]:
    """List the files of the code that processes photos, by name within each room."""
    line = Path(__file__).parents[2]  # pipeline/
    for place in (Path(s2cnet.__file__).parent, *(line / name for name in HASHED_SOURCES)):
        yield from [place] if place.is_file() else sorted(place.rglob("*.py"))
