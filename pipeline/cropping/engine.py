"""From decoded photos to their best crops: see, propose, search, choose. Jobs and Cropper use it.

The engine only connects its parts: `sources` tells objects, `candidates` proposes, `scoring` and
`search` find good candidates, `choose` decides among them. `pipeline.cropping.build` makes it.
"""

from collections.abc import Sequence

from pipeline.boxes import Boxes
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.choose import Chooser, ShapeRequest
from pipeline.cropping.results import Choice, ScoredCandidates, ScoredCrop, scored_crops
from pipeline.cropping.scoring import Network, score_function
from pipeline.cropping.search import CandidateList, Scores, Search
from pipeline.cropping.sources import ObjectSource, SeenPhoto
from pipeline.cropping.transfer import Transfer
from pipeline.detectors.given_boxes import ListedPhoto
from pipeline.photo.decode import Photo
from pipeline.shapes import Shape


class CropEngine:
    """The parts that turn photos into crops. Holds no photo."""

    def __init__(
        self,
        network: Network,
        source: ObjectSource,
        chooser: Chooser,
        search: Search,
        transfer: Transfer,
    ) -> None:
        """network: in evaluation mode, on the device of `transfer`."""
        self.network = network
        self.source = source
        self.chooser = chooser
        self.search = search
        self.transfer = transfer

    def see(
        self, photos: Sequence[Photo], given: Sequence[ListedPhoto] | None = None
    ) -> list[SeenPhoto]:
        """Send photos to the device and find the objects of each.

        given: what the input list tells of each photo; None where there is no list.

        Raises DetectError where one photo cannot be served.
        """
        if given is None:
            given = [ListedPhoto()] * len(photos)
        sent = [self.transfer.send(one, self.source.detector_input(one)) for one in photos]
        objects = self.source.objects(sent, given)
        return [SeenPhoto(one, found) for one, found in zip(sent, objects, strict=True)]

    def choose(
        self, seen: SeenPhoto, shapes: Sequence[Shape], top_k: int, keep_candidates: bool = False
    ) -> Choice:
        """Choose the `top_k` best clearly different crops of each shape, in the shapes' order.

        keep_candidates: also return every candidate that was scored. Raises ScoreError.
        """
        requests = [ShapeRequest(shape, seen.objects, seen.size_wh) for shape in shapes]
        lists = [self.propose(request) for request in requests]
        results = self.search(lists, score_function(self.network, seen))
        crops: list[ScoredCrop] = []
        kept: list[ScoredCandidates] = []
        for request, candidates, found in zip(requests, lists, results, strict=True):
            order = self.chooser.rank(request, candidates, found, top_k + 1)
            name = request.shape.name
            crops += scored_crops(name, found, order, top_k, seen.objects)
            if keep_candidates:
                kept.append(ScoredCandidates(name, found.boxes, found.network_scores))
        return Choice(seen.objects, crops, kept)

    def propose(self, request: ShapeRequest) -> CandidateList:
        """The candidates of one shape, at least one, with what the chooser holds against each."""
        boxes = for_shape(*request.size_wh, request.shape)
        return CandidateList(boxes, self.chooser.penalty(request, boxes))

    def score(self, seen: SeenPhoto, boxes_px: Boxes) -> Scores:
        """The network's score [N] of each of boxes_px [N, 4], source pixels. Higher is better.

        Raises ScoreError.
        """
        return score_function(self.network, seen)(boxes_px)
