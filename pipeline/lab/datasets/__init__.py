"""Published data sets of human crops, read from the folders that authors or mirrors distribute.

There are four kinds of human labels, and a data set may have several:

    scored crops   many crops a photo, each with a mean opinion score: gaicv1, gaicv2, ugcrop5k, cpc
    human crops    the crops that people drew themselves: flms, fcdb, sacd, gnmc, crops, labels
    gaze           where people looked: osie, eyecrowd, labels
    heads          every head, drawn by hand: eyecrowd, labels

`crops` and `labels` are our own formats, a CSV and a JSON file next to a folder of photos; `photos`
has no labels at all. The readers' docstrings (`scored`, `human`, `gaze`, `labels`) describe the
layouts. No photo is decoded here; some readers open a photo's header for its size.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.lab.datasets import flms, gaze, human, labels, scored
from pipeline.lab.datasets.example import Example
from pipeline.lab.datasets.layout import check_folder
from pipeline.report.progress import Log

Reader = Callable[[Path, str], tuple[list[Example], list[str]]]
READERS: dict[str, Reader] = {
    "gaicv1": scored.read_gaic,
    "gaicv2": scored.read_gaic,
    "ugcrop5k": scored.read_gaic,
    "cpc": scored.read_cpc,
    "flms": flms.read_flms,
    "fcdb": human.read_fcdb,
    "sacd": human.read_sacd,
    "gnmc": human.read_gnmc,
    "osie": gaze.read_osie,
    "eyecrowd": gaze.read_eyecrowd,
    "labels": labels.read_labels,
    "crops": human.read_crops,
    "photos": human.read_photos,
}
NAMES = tuple(READERS)


@dataclass(frozen=True)
class Dataset:
    """The photos of one split, ordered by their unique ids.

    notes: what was left out and why.
    """

    name: str
    split: str
    examples: list[Example]
    notes: list[str] = field(default_factory=list)


def load_dataset(name: str, folder: str | Path, split: str = "test") -> Dataset:
    """Read one split ("train", "val", "test") of the data set `name`, one of `NAMES`.

    All but the GAIC layout, fcdb, sacd and gnmc have only the split "test". Raises UsageError for
    an unknown name, another layout, a malformed line, an empty split or a photo that is listed
    twice; its message states what was expected and what was found.
    """
    root = Path(folder)
    examples, notes = read_set(name, root, split)
    unique = with_unique_ids(examples, root)
    return Dataset(name, split, sorted(unique, key=lambda example: example.id), notes)


def read_set(name: str, root: Path, split: str = "test") -> tuple[list[Example], list[str]]:
    """Read one split: examples in file order, and notes. Raises errors as `load_dataset` does."""
    if name not in READERS:
        raise UsageError(f"no data set {name!r}: choose one of {', '.join(NAMES)}")
    check_folder(root, name)
    examples, notes = READERS[name](root, split)
    if not examples:
        why = "".join(f"; {note}" for note in notes)
        raise UsageError(f"{root}: {name} has no photo in split {split!r}{why}")
    return examples, notes


def log_notes(notes: Iterable[str], log: Log | None) -> None:
    """Log each note on what a data set left out, one per line."""
    if log is not None:
        for note in notes:
            log.say("left_out", note)


def with_unique_ids(examples: Sequence[Example], root: Path) -> list[Example]:
    """Return the examples; those that share an id get their paths below `root`, with suffix.

    An id is the photo's name without suffix, which a.jpg, a.png and more/a.jpg share. It has to be
    unique because an evaluation pairs photos by id, and text: bytes of a name that are no UTF-8 are
    written in hexadecimal. Raises UsageError where a photo is listed twice.
    """
    times = Counter(example.id for example in examples)
    unique = [
        replace(example, id=_as_text(_path_below(example.image, root)))
        if times[example.id] > 1
        else replace(example, id=_as_text(example.id))
        for example in examples
    ]
    name, count = Counter(example.id for example in unique).most_common(1)[0]
    if count > 1:
        raise UsageError(f"{root}: the photo {name} is listed {count} times: list it once")
    return unique


def _path_below(path: Path, root: Path) -> str:
    """Return a path below the folder, or the whole path of a photo elsewhere."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _as_text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


__all__ = ["NAMES", "Dataset", "Example", "load_dataset"]
