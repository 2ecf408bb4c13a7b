"""Turn decoded photos into their best crops: see, propose, search, choose. For jobs and Cropper.

The engine only connects its parts: `sources` finds objects, `candidates` proposes crops, `scoring`
and `search` find good candidates, `choose` takes the best, `decide` determines what is written and
judges it. `pipeline.cropping.build` builds the engine.
"""

from collections.abc import Sequence

from pipeline.boxes import Boxes
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.chooser import ChooserFor, ShapeSearch
from pipeline.cropping.decide import Decider, GuardPolicy, PhotoGuards
from pipeline.cropping.gpu_memory import gpu_memory_as
from pipeline.cropping.kind_policy import KindPolicy
from pipeline.cropping.overrides import Override
from pipeline.cropping.parts import crops_of_whole
from pipeline.cropping.protected import protected_of
from pipeline.cropping.results import (
    PhotoCrops,
    SkippedShape,
    scored_candidates,
    scored_crops,
)
from pipeline.cropping.scoring import known_or_new_scores, score_function
from pipeline.cropping.search import Score, Scores, Search
from pipeline.cropping.sources import ObjectSource, SeenPhoto
from pipeline.cropping.transfer import Transfer
from pipeline.detectors.given_boxes import ListedPhoto
from pipeline.errors import DetectError
from pipeline.photo.decode import Photo
from pipeline.settings.guards import OFF
from pipeline.shapes import Shape
from s2cnet import FastS2CNet


class CropEngine:
    """The parts that turn photos into crops. Holds no photo."""

    def __init__(
        self,
        network: FastS2CNet,
        source: ObjectSource,
        chooser_for: ChooserFor,
        search: Search,
        transfer: Transfer,
        guard_policy: GuardPolicy | None = None,
        kind_policy: KindPolicy | None = None,
    ) -> None:
        """Keep the parts.

        network: on the device of `transfer`. guard_policy: None for no guards.
        kind_policy: None crops photos of all kinds alike.
        """
        self.network = network
        self.source = source
        self.chooser_for = chooser_for
        self.search = search
        self.transfer = transfer
        self.guard_policy = guard_policy or GuardPolicy.read(OFF)
        self.kind_policy = kind_policy

    def see(
        self, photos: Sequence[Photo], given: Sequence[ListedPhoto] | None = None
    ) -> list[SeenPhoto]:
        """Send photos to the device and find the objects of each inside its borders.

        given: the input list's entry for each photo; None if there is no list.

        Raises DetectError if one photo cannot be served, or the GPU lacks memory for all together.
        """
        if given is None:
            given = [ListedPhoto()] * len(photos)
        parts = [one.content for one in photos]
        with gpu_memory_as(DetectError):
            sent = [self.transfer.send(one, self.source.detector_input(one)) for one in parts]
            objects = self.source.objects(sent, given)
        return [SeenPhoto(*seen) for seen in zip(sent, objects, photos, strict=True)]

    def choose(
        self,
        seen: SeenPhoto,
        shapes: Sequence[Shape],
        top_k: int,
        keep_candidates: bool = False,
        override: Override | None = None,
    ) -> PhotoCrops:
        """Choose the `top_k` best clearly different crops of each shape, in the shapes' order.

        The chosen boxes are in source pixels of the whole photo.

        keep_candidates: also return every candidate that was scored.
        override: a person's instruction for this photo; it is obeyed.

        Raises ScoreError.
        """
        candidates = [for_shape(*seen.size_wh, shape) for shape in shapes]
        score = score_function(self.network, seen)
        found = self.search(candidates, score)
        searched = [ShapeSearch(*one) for one in zip(shapes, candidates, found, strict=True)]
        decider = self._decider(seen, shapes, score, override)
        decided = decider.decide(searched, top_k + 1)  # one more, for the margin of the last
        boxes = [decision.boxes(top_k) for decision in decided]
        scores = known_or_new_scores(boxes, found, score)
        crops = [
            scored_crops(shape.name, decision.chosen, own, seen.objects)
            for shape, decision, own in zip(shapes, decided, scores, strict=True)
        ]
        confidence = [decider.confidence(*one) for one in zip(searched, decided, strict=True)]
        kept = zip(searched, boxes, scores, strict=True) if keep_candidates else ()
        chosen = PhotoCrops(
            crops=decider.judged(shapes, decided, crops, confidence),
            candidates=[scored_candidates(one.shape.name, one.found, *own) for one, *own in kept],
            skipped=[
                SkippedShape(shape.name, decision.skipped)
                for shape, decision in zip(shapes, decided, strict=True)
                if decision.skipped is not None
            ],
        )
        return crops_of_whole(chosen, seen.photo.origin_px)

    def _decider(
        self, seen: SeenPhoto, shapes: Sequence[Shape], score: Score, override: Override | None
    ) -> Decider:
        """Build what decides on the crops of a photo. score: the network's, of any boxes."""
        heads_limit = self.guard_policy.guards.heads
        protected = protected_of(seen.objects, seen.size_wh, heads_limit)
        guards = PhotoGuards(self.guard_policy, protected)
        chooser = self.chooser_for(seen.objects, seen.size_wh, guards)
        kind_override = None
        if self.kind_policy is not None:
            kind_override = self.kind_policy.override_for(seen.photo, seen.objects, shapes)
        return Decider(chooser, guards, seen.size_wh, score, override, kind_override)

    def score(self, seen: SeenPhoto, boxes_px: Boxes) -> Scores:
        """Score each of boxes_px [N, 4], source pixels, with the network: [N]. Higher is better.

        Raises ScoreError.
        """
        return score_function(self.network, seen)(boxes_px)
