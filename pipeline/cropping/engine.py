"""From a decoded photo to its best crops: detect, propose, score, choose. Jobs and Cropper use it.

What decides among a shape's candidates is in `pipeline.cropping.choose`.

One photo is one call of the model. That keeps the scores of a photo independent of which photos
happen to be its neighbours, so batch size, task size and number of workers cannot change a result.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from pipeline.boxes import iou, shares_inside, to_whole_pixels
from pipeline.cropping import candidates
from pipeline.cropping.choose import Belief, Worth, by_score, objects_share, overlap_around, worth
from pipeline.cropping.penalties import cut_text, hidden_share, lost_heads
from pipeline.cropping.results import Choice, ScoredCandidates, ScoredCrop
from pipeline.cropping.search import (
    Boxes,
    Found,
    Scores,
    Search,
    Target,
    coarse_to_fine,
    exhaustive,
)
from pipeline.cropping.transfer import Uploads
from pipeline.detectors import Detections, Detector, SharingDetector
from pipeline.errors import ScoreError
from pipeline.photo.decode import Photo
from pipeline.shapes import Shape
from s2cnet import boxes_to_input
from s2cnet.context import ImageContext

# Two crops of one shape are "clearly different" where they overlap by less than this IoU. The grid
# of candidates is fine, so neighbours of the best crop overlap it by .8 to .95 and show the same.
DISTINCT_IOU = 0.7
# An object counts as cut where a crop shows more than the lower and less than the upper share of
# it: detector boxes are loose by a few percent on each side.
CUT_SHARES = (0.05, 0.95)


class Network(Protocol):
    """What scores crops: `S2CNet`, or what `s2cnet.compiled` makes of it."""

    def encode(self, images: Tensor, detections: Sequence[Tensor]) -> ImageContext:
        """See `S2CNet.encode`."""
        ...

    def score_crops(self, encoded: ImageContext, crops: Tensor) -> Tensor:
        """See `S2CNet.score_crops`."""
        ...


class Scorer:
    """A model and a detector with all that turns a photo into crops. Holds no files, no state.

    search: "coarse" scores a quarter of the candidates, "exhaustive" all of them, see
        `pipeline.cropping.search`.
    rank_by: "overlap" takes the crop that people's crops are expected to overlap most, of scores
        and objects, see `pipeline.cropping.choose`; "score" the one with the highest score.
    """

    def __init__(
        self,
        model: Network,
        detector: Detector,
        device: str = "cpu",
        search: str = "coarse",
        rank_by: str = "overlap",
    ) -> None:
        """model: on that device and in evaluation mode."""
        self.model = model
        self.detector = detector
        self.device = device
        self.uploads = Uploads(device)
        self.search: Search = {"coarse": coarse_to_fine, "exhaustive": exhaustive}[search]
        self.ranking = RANKINGS[rank_by]

    def objects(self, photo: Photo, given_px: Detections | None = None) -> Detections:
        """Objects of one photo in source pixels, best first: those given, else the detector's.

        Raises DetectError.
        """
        if given_px is not None:
            return inside(given_px, photo)
        (found,) = self.objects_of([photo])
        return found

    def objects_of(self, photos: Sequence[Photo]) -> list[Detections]:
        """The detector's objects of each photo in source pixels; on a GPU it sees batches.

        Raises DetectError where one photo can't be served.
        """
        pixels = [photo.pixels for photo in photos]
        if self.device != "cpu" and isinstance(self.detector, SharingDetector):
            sent = self.uploads.send(photos, list(map(self.detector.look_copy, pixels)))
            detected = self.detector.detect_copies([one.wait()[0] for one in sent], pixels)
        else:
            detected = self.detector.detect(pixels)
        return [in_source(found, photo) for found, photo in zip(detected, photos, strict=True)]

    def choose(
        self,
        photo: Photo,
        shapes: Sequence[Shape],
        top_k: int,
        objects: Detections,
        keep_candidates: bool = False,
    ) -> Choice:
        """The `top_k` best clearly different crops of each shape, in the order of the shapes.

        objects: what `objects` gave for this photo. Raises ScoreError.
        """
        targets = [self.ranking.target(photo, shape, objects) for shape in shapes]
        found = self.search(targets, self.score_boxes(photo, objects))
        crops: list[ScoredCrop] = []
        kept: list[ScoredCandidates] = []
        size_wh = (photo.width_px, photo.height_px)
        for shape, target, scored in zip(shapes, targets, found, strict=True):
            belief = belief_of(shape, target, scored, objects, size_wh)
            crops += pick(shape.name, belief, scored, top_k, objects, self.ranking.worth)
            kept += (
                [ScoredCandidates(shape.name, scored.boxes, scored.own)] if keep_candidates else []
            )
        return Choice(objects, crops, kept)

    def score(self, photo: Photo, boxes_px: Boxes, objects: Detections) -> Scores:
        """One score for each of boxes_px [N, 4], source pixels. Higher is better; no unit.

        Raises ScoreError.
        """
        return self.score_boxes(photo, objects)(boxes_px)

    def score_boxes(self, photo: Photo, objects: Detections) -> Callable[[Boxes], Scores]:
        """A function that scores boxes of one photo; the backbone has run once, here."""
        image = self.uploads.input_of(photo)  # [3, h, w]
        scale_xy = (photo.width_px / image.shape[2], photo.height_px / image.shape[1])
        detections = boxes_to_input(objects.boxes, scale_xy)  # [D, 4]
        with gpu_memory_as_score_error():
            context = self.model.encode(image[None], [detections.to(self.device)])

        def score(boxes_px: Boxes) -> Scores:
            crops = pad(boxes_to_input(boxes_px, scale_xy), (1, 0))  # [N, 5], photo 0
            with gpu_memory_as_score_error():
                scores = self.model.score_crops(context, crops.to(self.device))
            found: Scores = scores.float().cpu().numpy()
            if not np.isfinite(found).all():
                raise ScoreError("not_finite", "the network gave a score that is not a number")
            return found

        return score


@contextmanager
def gpu_memory_as_score_error() -> Iterator[None]:
    """One photo that does not fit beside what the GPU holds fails alone."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ScoreError("out_of_memory", str(error)) from error


def target_of(photo: Photo, shape: Shape, objects: Detections) -> Target:
    """The candidates of one shape, with what is held against each of them."""
    boxes = propose(photo, shape)
    penalty = lost_heads(boxes, objects, (photo.width_px, photo.height_px))
    penalty += cut_text(boxes, objects)
    return Target(boxes, penalty + hidden_share(boxes, objects) if shape.is_circle else penalty)


def plain_target(photo: Photo, shape: Shape, objects: Detections) -> Target:
    """The candidates of one shape, nothing held against them."""
    del objects
    return Target(propose(photo, shape))


def propose(photo: Photo, shape: Shape) -> Boxes:
    """Candidates of one shape, at least one, as whole source pixels inside the photo. [N, 4]"""
    size_wh = photo.width_px, photo.height_px
    if shape.ratio is None:
        return to_whole_pixels(candidates.for_free(*size_wh), *size_wh)
    return to_whole_pixels(candidates.for_ratio(*size_wh, shape.ratio), *size_wh)


def in_source(found: Detections, photo: Photo) -> Detections:
    """A detector's boxes, of the view, as objects of the photo in source pixels."""
    scale = np.array(photo.scale_xy * 2, np.float32)
    return inside(Detections(found.boxes * scale, found.scores, found.labels), photo)


def inside(objects: Detections, photo: Photo) -> Detections:
    """Objects clipped to the photo; those without area or with a corner not finite are dropped."""
    limit = np.array([photo.width_px, photo.height_px] * 2, np.float32)
    finite = np.asarray(np.isfinite(objects.boxes).all(axis=1))
    boxes = np.clip(np.where(finite[:, None], objects.boxes, 0), 0, limit).astype(np.float32)
    keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    labels = [label for label, good in zip(objects.labels, keep, strict=True) if good]
    return Detections(boxes[keep], objects.scores[keep], labels)


def belief_of(
    shape: Shape, target: Target, found: Found, objects: Detections, size_wh: tuple[int, int]
) -> Belief:
    """All that ranks the candidates of one shape."""
    around = overlap_around(target.boxes, objects, size_wh, shape.ratio)
    penalty = np.zeros(len(target.boxes)) if target.penalty is None else target.penalty
    share = objects_share(shape.ratio, size_wh)
    return Belief(target.boxes, found.believed, around, penalty.astype(np.float64), share)


def pick(
    ratio: str,
    belief: Belief,
    found: Found,
    top_k: int,
    objects: Detections,
    worth: Worth = worth,
) -> list[ScoredCrop]:
    """The scored candidate of the highest worth, then ever the next one clearly different.

    After the first, worth counts only what differs from all chosen before: what those would take
    who take none of them. Fewer than `top_k` where the shape has no more different crops. Equal
    worth: first in order.
    """
    left, scored = np.arange(len(belief.boxes)), np.arange(len(found.boxes))
    order: list[int] = []  # of the scored ones
    while len(scored) and len(order) <= top_k:  # one more, for the last one's margin
        order.append(int(scored[worth(belief, left, found.indices[scored]).argmax()]))
        best = found.boxes[order[-1]]
        left = left[iou(best, belief.boxes[left]) < DISTINCT_IOU]
        scored = scored[iou(best, found.boxes[scored]) < DISTINCT_IOU]
    chosen: list[ScoredCrop] = []
    for rank, index in enumerate(order[:top_k]):
        score = float(found.own[index])
        margin = score - float(found.own[order[rank + 1]]) if rank + 1 < len(order) else None
        shares = shares_inside(found.boxes[index], objects.boxes)
        cut = int(((shares > CUT_SHARES[0]) & (shares < CUT_SHARES[1])).sum())
        x0, y0, x1, y1 = map(float, found.boxes[index])
        crop = ScoredCrop(ratio, rank, (x0, y0, x1, y1), score, margin, shares.tolist(), cut)
        chosen.append(crop)
    return chosen


class Ranking(NamedTuple):
    """How the candidates of a shape are compared."""

    target: Callable[[Photo, Shape, Detections], Target]
    worth: Worth


RANKINGS = {"overlap": Ranking(target_of, worth), "score": Ranking(plain_target, by_score)}
