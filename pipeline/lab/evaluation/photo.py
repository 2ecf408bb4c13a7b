"""Evaluate one photo: measures of each method's crops and scores.

The product's crops come from `CropEngine`, the code path that jobs and Cropper share. The result is
plain data (a row of the JSON report), so that it can be sent between processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cropping.engine import CropEngine
from pipeline.cropping.results import ScoredCrop
from pipeline.cropping.sources import ObjectSource, SeenPhoto
from pipeline.detectors import Detections
from pipeline.detectors.given_boxes import ListedPhoto
from pipeline.errors import CropError, UsageError
from pipeline.inputs.reading import read_image
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation import measures
from pipeline.lab.evaluation.acceptance import accepted_by_viewers
from pipeline.lab.evaluation.baselines import Baseline
from pipeline.lab.evaluation.catalogue import BEST, CONSENSUS, NETWORK, OTHER_PERSON, OURS
from pipeline.lab.evaluation.copies import Copy, CropsOfShapes, add_copies, copies_of
from pipeline.lab.evaluation.evidence import FaultEvidence, fault_evidence
from pipeline.lab.evaluation.frame import FollowedBoxes, check_frame, within_photo
from pipeline.lab.evaluation.kept import shares_shown
from pipeline.lab.evaluation.ranking import product_order
from pipeline.lab.evaluation.reliability import AcceptanceEntry, acceptance_by_people, entry_of
from pipeline.lab.evaluation.slices import tags
from pipeline.photo.decode import Photo
from pipeline.photo.sandbox.standalone import decode_sandboxed
from pipeline.shapes import MAX_RATIO, Shape, parse_shape

Row = dict[str, Any]


@dataclass(frozen=True)
class Evaluator:
    """An engine and the baselines that it is compared with.

    shapes: those at which gaze, heads, violations and followed boxes are judged.
    judge: finds the objects that violations are judged by; None for the engine's own source.
    copies: also crop copies of each photo, see `pipeline.lab.evaluation.copies`.
    """

    engine: CropEngine
    baselines: Mapping[str, Baseline]
    shapes: Sequence[Shape]
    judge: ObjectSource | None = None
    copies: bool = False

    def evaluate(self, example: Example, followed: FollowedBoxes | None = None) -> Row:
        """Evaluate one photo; one that cannot be judged is a row with a status other than ok.

        Raises UsageError, with the photo, where its labels or the options cannot be used.
        """
        row: Row = {"id": example.id, "file": str(example.image), "status": "ok", "message": ""}
        try:
            # Labels cover the whole photo, so its borders count as part of it.
            data = read_image(str(example.image), None)
            photo = decode_sandboxed(data).with_borders()
            check_frame(example, followed, photo)
            (seen,) = self.engine.see([photo], [_listed(example)])
            row |= {"width": photo.width_px, "height": photo.height_px}
            row["objects"] = _object_rows(seen.objects)
            row["tags"] = tags(photo, seen.objects)
            row["scored"] = self._scored(example, seen) if len(example.mos) else None
            row["acceptance"] = []
            row["human"] = None
            if len(example.human_px):
                row["human"], row["acceptance"] = self._human(example, seen)
            chosen = self.engine.choose(seen, self.shapes, 1).crops
            crops = self._crops(seen, self.shapes, chosen)
            evidence = fault_evidence(example, self._judged(example, seen), seen.size_wh)
            row["evidence"] = evidence.sources()
            row["gaze"] = [] if evidence.gaze is None else np.round(evidence.gaze, 1).tolist()
            row["heads"] = np.round(evidence.drawn_heads, 1).tolist()
            row["shapes"] = self._shapes(crops, evidence)
            if self.copies:
                cropped = partial(self._crops_of_copy, example)
                add_copies(row["shapes"], copies_of(data, photo), self.shapes, crops, cropped)
            row["acceptance"] += self._acceptance_by_viewers(chosen, row["shapes"], evidence)
            row["kept"] = self._kept(crops, followed, photo) if followed else None
        except CropError as error:
            row |= {"status": error.status, "message": error.message}
        except UsageError as error:
            raise UsageError(f"{example.image}: {error}") from error
        return row

    def _judged(self, example: Example, seen: SeenPhoto) -> Detections:
        """Return the objects that violations are judged by."""
        if self.judge is None:
            return seen.objects
        sent = self.engine.transfer.send(seen.photo, self.judge.detector_input(seen.photo))
        (objects,) = self.judge.objects([sent], [_listed(example)])
        return objects

    def _scored(self, example: Example, seen: SeenPhoto) -> Row:
        """Rank the annotated crops by each method, and measure the orders."""
        boxes = example.scored_px
        order, scores = product_order(self.engine, seen, boxes)
        places = np.empty(len(order))
        places[order] = np.arange(len(order))
        predicted: dict[str, NDArray[Any]] = {OURS: -places, NETWORK: scores}
        for name, baseline in self.baselines.items():
            predicted[name] = baseline.score(seen.photo, boxes)
        values = {name: measures.score_measures(example.mos, of) for name, of in predicted.items()}
        del values[OURS]["pcc"]  # an order has no distances
        return {
            "boxes": boxes.tolist(),
            "mos": example.mos.tolist(),
            "predicted": {name: predicted[name].tolist() for name in (OURS, NETWORK)},
            "measures": values,
        }

    def _human(self, example: Example, seen: SeenPhoto) -> tuple[Row, list[AcceptanceEntry]]:
        """Compare each method's crop with each person's, at that person's or the asked ratio."""
        human, size = within_photo(example.human_px, seen.photo), seen.size_wh
        ratios = [_own_ratio(box) for box in human]
        own = [Shape(f"{ratio:g}:1", ratio) for ratio in ratios]
        shapes = [*map(parse_shape, example.asked)] or [*own, parse_shape("free")]
        chosen = self.engine.choose(seen, shapes, 1).crops
        crops, free = self._crops(seen, shapes, chosen), None
        if not example.asked:
            last = {name: boxes.pop() for name, boxes in crops.items()}
            measured = measures.free_crop_measures(human, np.array(last[OURS]), *size)
            free = {"box": last[OURS], "measures": measured}
        values = {name: measures.overlap_measures(human, of, *size) for name, of in crops.items()}
        if not example.asked and len(human) > 1 and example.drawn_by_people:
            values[OTHER_PERSON], values[CONSENSUS] = measures.people_agreement(human, *size)
        row = {"boxes": human.tolist(), "crops": crops, "measures": values, "free": free}
        names = example.asked or ["own"] * len(human)
        return row, acceptance_by_people(chosen, human, names)

    def _shapes(self, crops: CropsOfShapes, evidence: FaultEvidence) -> dict[str, dict[str, Row]]:
        """Map method -> shape -> box and measures; the best possible has only measures."""
        best = {shape.name: measures.best_of_shape(shape, evidence) for shape in self.shapes}
        found: dict[str, dict[str, Row]] = {method: {} for method in crops}
        for method, boxes in crops.items():
            for shape, box in zip(self.shapes, boxes, strict=True):
                values = measures.fault_measures(box, shape, evidence, best[shape.name])
                found[method][shape.name] = {"box": box, "measures": values}
        if any(best.values()):
            found[BEST] = {name: {"measures": values} for name, values in best.items()}
        return found

    def _crops_of_copy(self, example: Example, copy: Copy) -> CropsOfShapes:
        """Map each method to its crop of each shape, in pixels of the copy."""
        (seen,) = self.engine.see([copy.photo], [_listed(example, copy.scale_xy)])
        return self._crops(seen, self.shapes, self.engine.choose(seen, self.shapes, 1).crops)

    def _acceptance_by_viewers(
        self, chosen: Sequence[ScoredCrop], judged: Row, evidence: FaultEvidence
    ) -> list[AcceptanceEntry]:
        """Judge the engine's crop of each shape by viewers. judged: the result of `_shapes`."""
        entries = []
        for shape, crop in zip(self.shapes, chosen, strict=True):
            best = judged.get(BEST, {}).get(shape.name, {"measures": {}})["measures"]
            box = np.array(crop.box_px, np.float32)
            accepted = accepted_by_viewers(box, shape, evidence, best.get("gaze_kept"))
            entries += entry_of(shape.name, crop, accepted)
        return entries

    def _kept(self, crops: CropsOfShapes, followed: FollowedBoxes, photo: Photo) -> Row:
        """Measure the share of each followed box inside each method's crop of each shape."""
        boxes = within_photo(followed.boxes_px, photo)
        shares = {
            method: {
                shape.name: shares_shown(np.array([box], np.float32), boxes, shape)[0].tolist()
                for shape, box in zip(self.shapes, own, strict=True)
            }
            for method, own in crops.items()
        }
        return {"groups": followed.groups, "shares": shares}

    def _crops(
        self, seen: SeenPhoto, shapes: Sequence[Shape], chosen: Sequence[ScoredCrop]
    ) -> CropsOfShapes:
        """Map each method to its crop of each shape; leave out methods that place no crops.

        chosen: the engine's crop of each shape.
        """
        crops = {OURS: [list(crop.box_px) for crop in chosen]}
        width, height = seen.size_wh
        ratios = [shape.ratio or width / height for shape in shapes]
        for name, baseline in self.baselines.items():
            if (boxes := baseline.crops(seen.photo, ratios)) is not None:
                crops[name] = [box.tolist() for box in boxes]
        return crops


def _listed(example: Example, scale_xy: tuple[float, float] = (1.0, 1.0)) -> ListedPhoto:
    """Return the data set's own objects of a photo, for the detector `boxes`.

    scale_xy: pixels of the photo per pixel of the copy that the objects are for, (x, y).
    """
    objects = example.objects_px
    boxes = [] if objects is None else (objects / np.tile(scale_xy, 2)).tolist()
    return ListedPhoto(str(example.image), boxes)


def _own_ratio(box: NDArray[np.float32]) -> float:
    """Return width / height of a person's crop, within the limits of a shape."""
    ratio = float(box[2] - box[0]) / float(box[3] - box[1])
    return min(max(ratio, 1 / MAX_RATIO), MAX_RATIO)


def _object_rows(objects: Detections) -> list[Row]:
    return [
        {"box": box, "score": round(score, 4), "label": label}
        for box, score, label in zip(
            objects.boxes.tolist(), objects.scores.tolist(), objects.labels, strict=True
        )
    ]
