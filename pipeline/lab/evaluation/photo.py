"""One photo, all methods: the measures of the crops chosen and of the scores given.

The network's crops come from `CropEngine`, the one code path of jobs and Cropper. What is returned
is plain data (a row of the JSON report), so that it can travel between processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import shares_inside
from pipeline.cropping.engine import CropEngine
from pipeline.cropping.sources import SeenPhoto
from pipeline.detectors import Detections
from pipeline.detectors.given_boxes import ListedPhoto
from pipeline.errors import CropError, ScoreError
from pipeline.inputs.listing import read_image
from pipeline.lab.datasets import Boxes, Example
from pipeline.lab.evaluation import measures
from pipeline.lab.evaluation.baselines import Baseline
from pipeline.lab.evaluation.slices import tags
from pipeline.photo.decode import Photo, decode
from pipeline.shapes import MAX_RATIO, Shape, parse_shape

OURS = "s2cnet"
OTHER_PERSON, CONSENSUS = "other_person", "other_people"
SLACK_PX = 2.0
"""Human boxes may leave the photo by this much, as rounding does; more is another frame."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Marked:
    """Boxes whose fate inside the crops is followed: objects, or people with their group."""

    boxes_px: Boxes  # [D, 4]
    groups: list[str]  # D names, all "" for objects


@dataclass(frozen=True)
class Evaluator:
    """An engine and the baselines it is compared with."""

    engine: CropEngine
    baselines: Mapping[str, Baseline]
    kept_ratios: Sequence[str]  # shapes at which marked boxes are followed

    def evaluate(self, example: Example, marked: Marked | None = None) -> Row:
        """One row, whatever happens: a photo that cannot be judged has another status than ok."""
        row: Row = {"id": example.id, "file": str(example.image), "status": "ok", "message": ""}
        try:
            photo = decode(read_image(str(example.image), None))
            _check_frame(example, photo)
            (seen,) = self.engine.see([photo], [_listed(example)])
            row |= {"width": photo.width_px, "height": photo.height_px}
            row["objects"] = _object_rows(seen.objects)
            row["tags"] = tags(photo, seen.objects)
            row["scored"] = self._scored(example, seen) if len(example.mos) else None
            row["human"] = self._human(example, seen) if len(example.human_px) else None
            row["kept"] = self._kept(seen, marked) if marked else None
        except CropError as error:
            row |= {"status": error.status, "message": error.message}
        return row

    def _scored(self, example: Example, seen: SeenPhoto) -> Row:
        """Order of the annotated crops, by each method."""
        predicted: dict[str, NDArray[Any]] = {OURS: self.engine.score(seen, example.scored_px)}
        for name, baseline in self.baselines.items():
            predicted[name] = baseline.score(seen.photo, example.scored_px)
        return {
            "boxes": example.scored_px.tolist(),
            "mos": example.mos.tolist(),
            "predicted": predicted[OURS].tolist(),
            "measures": {
                name: measures.of_scores(example.mos, scores) for name, scores in predicted.items()
            },
        }

    def _human(self, example: Example, seen: SeenPhoto) -> Row:
        """At each person's own ratio, the crop of each method against that person's crop."""
        photo = seen.photo
        human = _clipped(example.human_px, photo)
        ratios = [_own_ratio(box) for box in human]
        shapes = [Shape(f"{ratio:g}:1", ratio) for ratio in ratios]
        chosen = self.engine.choose(seen, [*shapes, parse_shape("free")], 1).crops
        crops: dict[str, list[list[float]]] = {OURS: [list(c.box_px) for c in chosen[:-1]]}
        for name, baseline in self.baselines.items():
            boxes = [baseline.crop(photo, ratio) for ratio in ratios]
            found = [box.tolist() for box in boxes if box is not None]
            crops |= {name: found} if len(found) == len(boxes) else {}
        size = (photo.width_px, photo.height_px)
        values = {name: measures.of_crops(human, boxes, *size) for name, boxes in crops.items()}
        if len(human) > 1:
            values[OTHER_PERSON], values[CONSENSUS] = measures.of_people(human, *size)
        free = np.array(chosen[-1].box_px)
        return {
            "boxes": human.tolist(),
            "crops": crops,
            "measures": values,
            "free": {"box": free.tolist(), "measures": measures.of_free(human, free, *size)},
        }

    def _kept(self, seen: SeenPhoto, marked: Marked) -> Row:
        """Share of each marked box inside each method's crop of each ratio."""
        photo = seen.photo
        boxes = _clipped(marked.boxes_px, photo)
        shapes = [parse_shape(ratio) for ratio in self.kept_ratios]
        own = photo.width_px / photo.height_px  # what `free` means to a baseline
        chosen = self.engine.choose(seen, shapes, 1).crops
        shares = {OURS: {c.ratio: _shares(c.box_px, boxes) for c in chosen}}
        for name, baseline in self.baselines.items():
            found = {shape.name: baseline.crop(photo, shape.ratio or own) for shape in shapes}
            placed = {ratio: _shares(box, boxes) for ratio, box in found.items() if box is not None}
            shares |= {name: placed} if placed else {}
        return {"groups": marked.groups, "shares": shares}


def _listed(example: Example) -> ListedPhoto:
    """What a data set tells of a photo: its own objects, used where the detector is `boxes`."""
    boxes = [] if example.objects_px is None else example.objects_px.tolist()
    return ListedPhoto(str(example.image), boxes)


def _own_ratio(box: NDArray[np.float32]) -> float:
    """Width / height of a person's crop, within what a shape may be."""
    ratio = float(box[2] - box[0]) / float(box[3] - box[1])
    return min(max(ratio, 1 / MAX_RATIO), MAX_RATIO)


def _shares(crop: Any, boxes: Boxes) -> list[float]:
    shares: list[float] = shares_inside(np.array(crop, np.float32), boxes).tolist()
    return shares


def _clipped(boxes: Boxes, photo: Photo) -> Boxes:
    limit = np.array([photo.width_px, photo.height_px] * 2, np.float32)
    return np.clip(boxes, 0, limit).astype(np.float32)


def _check_frame(example: Example, photo: Photo) -> None:
    limit = np.array([photo.width_px, photo.height_px] * 2) + SLACK_PX
    for boxes in (example.scored_px, example.human_px):
        outside = ((boxes > limit) | (boxes < -SLACK_PX)).any(1)
        if outside.any():
            raise ScoreError(
                "boxes_outside",
                f"{int(outside.sum())} of {len(boxes)} annotated crops leave the photo of "
                f"{photo.width_px} × {photo.height_px}: is it another size, or x and y swapped?",
            )


def _object_rows(objects: Detections) -> list[Row]:
    return [
        {"box": box, "score": round(score, 4), "label": label}
        for box, score, label in zip(
            objects.boxes.tolist(), objects.scores.tolist(), objects.labels, strict=True
        )
    ]
