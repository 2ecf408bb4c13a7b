"""The setup of an evaluation, small enough to be sent to workers, and the local way to run it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.cropping.build import BACKBONE, RANK_BY, SEARCH, make_engine, make_source
from pipeline.cropping.decide import GuardRules
from pipeline.cropping.weights import Weights
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.baselines import AnchorPrior, make_baselines
from pipeline.lab.evaluation.photo import Evaluator, FollowedBoxes, Row
from pipeline.shapes import parse_shape


@dataclass(frozen=True)
class EvaluationSetup:
    """Network, detector and what they are compared with.

    detector: as `--detector` names it; `boxes` takes the data set's own object boxes.
    shapes: names of the shapes at which gaze, heads, violations and followed boxes are judged.
    judge: detector whose objects violations are judged by; None for the run's own.
    search: how candidates are searched, `coarse` as in production or `exhaustive`.
    rank_by: what decides among candidates, `overlap` as in production or `score`.
    backbone: what S2CNet reads, `auto` as in production, `own` or `shared`.
    gaic, focalnet: weights of these networks, to be one more baseline each.
    followed: photo's file name -> boxes to follow; photos not named follow their given objects.
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

    def evaluator(self, device: str) -> Evaluator:
        """Load it all, guards as a job has them by default. Raises UsageError or WeightsError."""
        engine = make_engine(
            self.weights, self.detector, device, self.search, self.rank_by,
            rules=GuardRules.read(), backbone=self.backbone,
        )  # fmt: skip
        return Evaluator(
            engine,
            make_baselines(self.baselines, self.prior, self.gaic, self.focalnet, device),
            [parse_shape(name) for name in self.shapes],
            judge=make_source(self.judge, device) if self.judge else None,
        )

    def followed_in(self, example: Example) -> FollowedBoxes | None:
        """The people listed for this photo, else its given objects, else None."""
        listed = self.followed.get(example.image.name)
        if listed is not None or example.objects_px is None:
            return listed
        return FollowedBoxes(example.objects_px, [""] * len(example.objects_px))


def evaluate_here(
    examples: Sequence[Example], setup: EvaluationSetup, device: str
) -> Iterator[Row]:
    """One row a photo, in this process."""
    evaluator = setup.evaluator(device)
    for example in examples:
        yield evaluator.evaluate(example, setup.followed_in(example))
