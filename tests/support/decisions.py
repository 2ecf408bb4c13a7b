"""Decide crops for made-up heads, text and gaze, with a network that prefers no content."""

from collections.abc import Sequence

import numpy as np

from pipeline.cropping.candidates import for_shape
from pipeline.cropping.choose import OverlapChooser
from pipeline.cropping.chooser import Chooser, ChooserFor, ShapeSearch
from pipeline.cropping.decide import Decider, GuardPolicy, PhotoGuards
from pipeline.cropping.decision import CropDecision
from pipeline.cropping.overrides import Override
from pipeline.cropping.protected import protected_of
from pipeline.cropping.results import ScoredCrop, scored_crops
from pipeline.cropping.search import exhaustive
from pipeline.detectors import Attention, Detections
from pipeline.shapes import parse_shape

SIZE = (600, 400)


def photo(
    heads: Sequence[Sequence[float]] = (),
    text: Sequence[Sequence[float]] = (),
    gaze: tuple[float, float] = (300, 380),
    persons: Sequence[Sequence[float]] = (),
) -> Detections:
    """Make detections with score 1: heads, text, persons; gaze: its one peak, pixels of SIZE."""
    y, x = (np.mgrid[:16, :16] + 0.5) / 16
    cells = np.exp(-((x - gaze[0] / SIZE[0]) ** 2 + (y - gaze[1] / SIZE[1]) ** 2) / 0.01) + 1e-3
    heads_rel = np.array(heads, np.float64).reshape(-1, 4) / (SIZE * 2)
    attention = Attention(cells / cells.sum(), cells, heads_rel, np.ones(len(heads_rel)))
    boxes = np.array([*text, *persons], np.float32).reshape(-1, 4)
    labels = ["text"] * len(text) + ["person"] * len(persons)
    return Detections(boxes, np.ones(len(boxes), np.float32), labels, attention)


def decided(
    objects: Detections,
    shape: str,
    guards: str,
    fallback: str = "none",
    areas: str = "",
    chooser: ChooserFor = OverlapChooser,
    count: int = 2,
    override: Override | None = None,
) -> tuple[CropDecision, list[ScoredCrop]]:
    """Return the decision with a network that ignores content, and its crops."""
    asked = parse_shape(shape)
    policy = GuardPolicy.read(guards, fallback, areas)
    photo_guards = PhotoGuards(policy, protected_of(objects, SIZE))
    made: Chooser = chooser(objects, SIZE, photo_guards)

    def score(boxes: np.ndarray) -> np.ndarray:
        return np.asarray(-boxes[:, 1], np.float32)  # higher boxes score higher

    decider = Decider(made, photo_guards, SIZE, score, override)
    candidates = for_shape(*SIZE, asked)
    (found,) = exhaustive([candidates], lambda some: np.zeros(len(some), np.float32))
    (decision,) = decider.decide([ShapeSearch(asked, candidates, found)], count)
    scores = np.zeros(len(decision.boxes(count - 1)), np.float32)
    crops = scored_crops(shape, decision.chosen, scores, objects)
    return decision, decider.judged([asked], [decision], [crops], [[None] * len(crops)])


# At 16:9 a crop is 337.5 pixels high and people look at the lower end: of a head at the top, 62 of
# 80 pixels are outside.
HIGH_HEAD = [(250, 0, 350, 80)]


# Four lines across the whole photo, 98 rows each. A 16:9 crop narrower than 552 pixels cuts every
# line that it shows (92 % inside counts as whole), and one of 552 to 600 has 310 to 338 rows: three
# lines and at least 10 of another line's 98 rows.
ACROSS = [(0, 100 * row, 600, 100 * row + 98) for row in range(4)]
