"""Published data sets of human crops, read from the folders their authors (or mirrors) give out.

Two kinds of truth, and a data set may have both:

    scored crops   many crops a photo, each with a mean opinion score: gaicv1, gaicv2, ugcrop5k, cpc
    human crops    the crops that people drew themselves: flms, fcdb, sacd, crops

`crops` is our own plain form, one CSV beside a folder of photos; `photos` has no truth at all.
The layouts are told in the readers' docstrings (`scored`, `human`). No photo is decoded here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.lab.datasets import human, scored
from pipeline.lab.datasets.example import Boxes, Example

Reader = Callable[[Path, str], tuple[list[Example], list[str]]]
READERS: dict[str, Reader] = {
    "gaicv1": scored.read_gaic,
    "gaicv2": scored.read_gaic,
    "ugcrop5k": scored.read_gaic,
    "cpc": scored.read_cpc,
    "flms": human.read_flms,
    "fcdb": human.read_fcdb,
    "sacd": human.read_sacd,
    "crops": human.read_crops,
    "photos": human.read_photos,
}
NAMES = tuple(READERS)


@dataclass(frozen=True)
class Dataset:
    """The photos of one split, ordered by id. `notes` says what was left out and why."""

    name: str
    split: str
    examples: list[Example]
    notes: list[str] = field(default_factory=list)


def load_dataset(name: str, folder: str | Path, split: str = "test") -> Dataset:
    """Read one split ("train", "val", "test") of the data set `name`, one of `NAMES`.

    flms, cpc, crops and photos are one split, `test`. Raises UsageError that says what was expected
    and what is there: for an unknown name, another layout, a malformed line, an empty split.
    """
    if name not in READERS:
        raise UsageError(f"no data set {name!r}: choose one of {', '.join(NAMES)}")
    root = Path(folder)
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder: give the one that holds {name}")
    examples, notes = READERS[name](root, split)
    if not examples:
        raise UsageError(f"{root}: {name} has no photo in split {split!r}")
    return Dataset(name, split, sorted(examples, key=lambda example: example.id), notes)


__all__ = ["NAMES", "Boxes", "Dataset", "Example", "load_dataset"]
