"""Photos with any of three human labels in one JSON file: crops, gaze, heads."""

from pathlib import Path

import numpy as np

from pipeline.errors import UsageError
from pipeline.lab.datasets.example import Example
from pipeline.lab.datasets.layout import boxes, finite, missing_note, one_split, read_json

FORM = '{"size_wh": [w, h], "crops"?: [[x0, y0, x1, y1], …], "viewers"?: …, "heads"?: …}'


def labels_file(folder: Path) -> Path:
    """The JSON file of a folder's labels: of its whole name, dots and all, beside it."""
    resolved = folder.resolve()
    return resolved.with_name(f"{resolved.name}.json")


def read_labels(root: Path, split: str) -> tuple[list[Example], list[str]]:
    """A folder of photos and, beside it, a JSON file of the same name.

        <folder>/<photo>
        <folder>.json    {"<photo>": {…}}, in pixels of the photo, any of
            "crops"      [[x0, y0, x1, y1], …], one for each person
            "viewers"    [[[x, y, ms], …], …], the fixations of each person
            "heads"      [{"box": [x0, y0, x1, y1], …}, …], every head

    Raises UsageError.
    """
    one_split(split, "labels")
    path = labels_file(root)
    listed = read_json(path)
    if not isinstance(listed, dict):
        raise UsageError(f'{path}: expected {{"<photo>": {FORM}}}')
    examples = []
    for name, entry in listed.items():
        image = root / name
        if not image.is_file():
            continue
        try:
            crops = boxes(entry.get("crops", []), f"{path}: {name}")
            heads, gaze = entry.get("heads"), entry.get("viewers")
            fixations = finite(
                [fixation[:2] for viewer in gaze or [] for fixation in viewer],
                f"{path}: {name}: fixations",
            )
            example = Example(
                Path(name).stem,
                image,
                human_px=crops,
                heads_px=None
                if heads is None
                else boxes([head["box"] for head in heads], f"{path}: {name}"),
                fixations_px=None
                if gaze is None
                else fixations.astype(np.float32).reshape(len(fixations), 2),
                first_fixations=None
                if gaze is None
                else np.array([not i for viewer in gaze for i in range(len(viewer))], np.bool_),
            )
        except UsageError:  # says what is wrong
            raise
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UsageError(f"{path}: {name}: expected {FORM}: {error!r}") from None
        examples.append(example)
    return examples, missing_note(len(listed) - len(examples), path.name)
