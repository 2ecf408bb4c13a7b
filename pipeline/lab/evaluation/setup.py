"""The setup of an evaluation, small enough to send to workers, and how to run it locally."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from pipeline.cropping.build import (
    BACKBONE,
    RANK_BY,
    SEARCH,
    assemble,
    choose_backbone,
    make_engine,
    make_source,
)
from pipeline.cropping.decide import GuardPolicy
from pipeline.cropping.engine import CropEngine
from pipeline.cropping.sources import to_source
from pipeline.cropping.transfer import SentPhoto
from pipeline.cropping.weights import Weights
from pipeline.detectors import Detections
from pipeline.detectors.embedded import detect_with
from pipeline.detectors.given_boxes import ListedPhoto
from pipeline.device import choose_device
from pipeline.errors import naming
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.baselines import AnchorPrior, make_baselines
from pipeline.lab.evaluation.frame import FollowedBoxes
from pipeline.lab.evaluation.photo import Evaluator, Row
from pipeline.lab.fold_weights import FoldWeights
from pipeline.lab.folds import fold_of
from pipeline.lab.weight_files import naming_weights
from pipeline.photo.decode import Photo
from pipeline.shapes import parse_shape


@dataclass(frozen=True)
class EvaluationSetup:
    """Network, detector and the baselines to compare them with.

    detector: as `--detector` names it; `boxes` takes the data set's own object boxes.
    shapes: names of the shapes at which gaze, heads, violations and followed boxes are judged.
    judge: detector whose objects violations are judged by; None for the run's own.
    search: how candidates are searched, `coarse` as in production or `exhaustive`.
    rank_by: what decides among candidates, `overlap` as in production or `score`.
    backbone: what S2CNet reads, `own` as in production, `shared` or `auto`; where there are weights
        by fold, their branches decide.
    gaic, focalnet: weights of these networks, each of which becomes one more baseline.
    folds: weights by fold, which replace the detector's and `weights`.
    set_name: the data set's name when these were trained; with a photo's file name it determines
        the photo's fold.
    copies: whether copies of each photo are cropped too.
    followed: photo's file name -> boxes to follow; for other photos, their given objects are
        followed.
    """

    weights: Weights
    detector: str
    baselines: Sequence[str]
    shapes: Sequence[str]
    prior: AnchorPrior | None = None
    followed: Mapping[str, FollowedBoxes] = field(default_factory=dict)
    gaic: str | None = None
    focalnet: str | None = None
    judge: str | None = None
    search: str = SEARCH
    rank_by: str = RANK_BY
    backbone: str = BACKBONE
    folds: FoldWeights | None = None
    set_name: str = ""
    copies: bool = False

    def evaluator(self, device: str, fold: int | None = None) -> Evaluator:
        """Load everything, with a job's default guards. Raises UsageError.

        fold: take the weights that have not seen this fold; None: those for all photos.
        """
        with naming_weights("weights"), naming("detector"):
            engine = self._engine(device) if fold is None else self._fold_engine(device, fold)
        with naming("judge"):
            judge = make_source(self.judge, device) if self.judge else None
        return Evaluator(
            engine,
            make_baselines(self.baselines, self.prior, self.gaic, self.focalnet, device),
            [parse_shape(name) for name in self.shapes],
            judge=judge,
            copies=self.copies,
        )

    def fold_of(self, example: Example) -> int | None:
        """Return the fold that a photo is held out from; None without weights by fold."""
        return None if self.folds is None else fold_of(self.set_name, example.image.name)

    def backbone_read(self) -> str:
        """Resolve what S2CNet reads, `own` or `shared`. Raises as `choose_backbone` does."""
        if self.folds is not None:
            return "own" if self.folds.features is None else "shared"
        return choose_backbone(self.backbone, self.weights.sha256, self.detector, self.rank_by)

    def _engine(self, device: str) -> CropEngine:
        return make_engine(
            self.weights, self.detector, device, self.search, self.rank_by,
            guard_policy=GuardPolicy.read(), backbone=self.backbone,
        )  # fmt: skip

    def _fold_engine(self, device: str, fold: int) -> CropEngine:
        """Make a fold's engine; S2CNet has its own backbone where the folds have no branches."""
        assert self.folds is not None
        chosen = choose_device(device)
        network = self.folds.scorer(fold, lambda: self.weights.load(chosen), chosen)
        detector = self.folds.detector_with_branch(fold)
        source = (
            make_source(self.detector, chosen)
            if detector is None
            else TrainedSource(detector.to(chosen), chosen)
        )
        guard_policy = GuardPolicy.read()
        return assemble(network, source, chosen, self.search, self.rank_by, guard_policy)

    def followed_in(self, example: Example) -> FollowedBoxes | None:
        """Return the people listed for this photo, else its given objects, else None."""
        listed = self.followed.get(example.image.name)
        if listed is not None or example.objects_px is None:
            return listed
        return FollowedBoxes(example.objects_px, [""] * len(example.objects_px))


class TrainedSource:
    """Objects from an embedded detector whose network is given."""

    identity = "given"

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        self._network, self._device = network, device

    def detector_input(self, photo: Photo) -> None:
        """Return None: the copy is made where the network runs."""

    def objects(
        self, photos: Sequence[SentPhoto], given: Sequence[ListedPhoto]
    ) -> list[Detections]:
        """See `ObjectSource.objects`."""
        return [
            to_source(detect_with(self._network, one.photo.pixels, self._device), one.photo)
            for one in photos
        ]


class Evaluators:
    """Evaluates photos on one device; each fold's evaluator is loaded at its first use."""

    def __init__(self, setup: EvaluationSetup, device: str) -> None:
        """Load the only evaluator now if there are no weights by fold. Raises as that does."""
        self._setup, self._device = setup, device
        self._loaded: dict[int | None, Evaluator] = {}
        if setup.folds is None:
            self._loaded[None] = setup.evaluator(device)

    def evaluate(self, example: Example) -> Row:
        """Evaluate one photo into its row. Raises UsageError."""
        fold = self._setup.fold_of(example)
        if fold not in self._loaded:
            self._loaded[fold] = self._setup.evaluator(self._device, fold)
        return self._loaded[fold].evaluate(example, self._setup.followed_in(example))


def evaluate_here(
    examples: Sequence[Example], setup: EvaluationSetup, device: str
) -> Iterator[Row]:
    """Yield one row per photo, evaluated in this process."""
    yield from map(Evaluators(setup, device).evaluate, examples)
