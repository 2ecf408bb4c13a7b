"""What an evaluation does, small enough to send to every worker, and the local way to run it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.cropping.build import Weights, make_engine
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.baselines import AnchorPrior, make_baselines
from pipeline.lab.evaluation.gaic_baseline import GaicBaseline
from pipeline.lab.evaluation.photo import Evaluator, Marked, Row


@dataclass(frozen=True)
class Plan:
    """Network, detector and what they are compared with.

    detector: as `--detector` names it; `boxes` takes the data set's own object boxes.
    search: how candidates are searched, `coarse` as in production or `exhaustive`.
    rank_by: what decides among candidates, `overlap` as in production or `score`.
    gaic: weights of the GAIC network, to be one more baseline.
    marked: photo's file name -> boxes to follow; photos not named follow their given objects.
    """

    weights: Weights
    detector: str
    baselines: Sequence[str]
    kept_ratios: Sequence[str]
    prior: AnchorPrior | None = None
    marked: Mapping[str, Marked] = field(default_factory=dict)
    gaic: str | None = None
    search: str = "coarse"
    rank_by: str = "overlap"

    def evaluator(self, device: str) -> Evaluator:
        """Load it all. Raises UsageError or WeightsError."""
        baselines = make_baselines(self.baselines, self.prior)
        if self.gaic is not None:
            baselines["gaic"] = GaicBaseline.from_weights(self.gaic, device)
        return Evaluator(
            make_engine(self.weights, self.detector, device, self.search, self.rank_by),
            baselines,
            self.kept_ratios,
        )

    def marked_in(self, example: Example) -> Marked | None:
        """The people listed for this photo, else its given objects, else None."""
        listed = self.marked.get(example.image.name)
        if listed is not None or example.objects_px is None:
            return listed
        return Marked(example.objects_px, [""] * len(example.objects_px))


def evaluate_here(examples: Sequence[Example], plan: Plan, device: str) -> Iterator[Row]:
    """One row a photo, in this process."""
    evaluator = plan.evaluator(device)
    for example in examples:
        yield evaluator.evaluate(example, plan.marked_in(example))
