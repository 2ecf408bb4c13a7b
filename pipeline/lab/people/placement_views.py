"""Views of photos for the placement branch: levels of the detector, and candidates to choose among.

A photo gives two views: itself and its mirror image, each with a degraded copy.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.boxes import Boxes, FloatArray
from pipeline.cropping.candidates import for_shape
from pipeline.cropping.choose import OverlapChooser
from pipeline.cropping.chooser import ShapeSearch
from pipeline.cropping.rule import distance_of, packaged_rule
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.lab.datasets import Example
from pipeline.lab.datasets.layout import read_upright_pixels
from pipeline.lab.evaluation.evidence import DRAWN_CUT
from pipeline.lab.evaluation.kept import gaze_kept, shares_shown
from pipeline.lab.people.branches import Features
from pipeline.lab.people.held_out import HeldOutPhoto, PeoplePhoto, run_networks, shapes_of
from pipeline.lab.people.placement_loss import (
    Candidates,
    PlacementMatrix,
    acceptability,
)
from pipeline.lab.people.rule_fit import overlap_target
from pipeline.lab.people.views import degraded_copy, trunk_features
from pipeline.shapes import Shape, parse_shape
from s2cnet import FastS2CNet

SHAPES = ("9:16", "3:4", "1:1", "16:9")  # for which people's gaze tells the place
EVERY = 3  # of how many people's crops of a photo the ratio of one is used
# Of the share of the heads that a crop of a crowd neither cuts nor loses, beside that of gaze.
HEADS_WEIGHT = 0.5
# Distance of ratios up to which placement counts in training. The rule counts it less far, so that
# less gaze is lost (`PLACEMENT_REACH`).
TRAINED_REACH = 0.4
LEAST_DISTANCE = 0.1  # of a shape's ratio from the photo's; nearer ones leave hardly a choice


@dataclass(frozen=True, eq=False)
class PlacementView:
    """The frozen network's levels of a view and of a degraded copy, and candidates of its shapes.

    Levels are in half precision; those of the copy are the view's own where the detector's input
    for it has another size.

    places: of the candidates of each shape.
    """

    levels: Features
    copy: Features
    candidates: list[Candidates]
    places: list[PlacementMatrix]


def placement_views(
    network: SubjectNetwork, scorer: FastS2CNet, set_name: str, example: Example, seed: int = 0
) -> Iterator[PlacementView]:
    """Yield a photo and its mirror image; none where no label tells a place.

    Randomness depends only on the seed and the photo's name. network, scorer: the networks by
    which the rule of choice values the candidates. Raises UsageError.
    """
    random = np.random.default_rng([seed, zlib.crc32(example.image.name.encode())])
    photo = PeoplePhoto.of(set_name, example)
    seen = run_networks(photo, network, scorer, list(_shapes(photo.example)))
    if not (candidates := list(candidates_of(seen))):
        return
    pixels = read_upright_pixels(example.image)
    mirrored = [one.mirrored() for one in candidates]
    flipped = np.ascontiguousarray(pixels[:, ::-1])
    for shown, of_view in ((pixels, candidates), (flipped, mirrored)):
        levels, _ = trunk_features(network, shown)
        copy, _ = trunk_features(network, degraded_copy(shown, random))
        same_size = levels[0].shape == copy[0].shape
        height, width = levels[1].shape[-2:]  # those of stride 16, as the maps
        places = [
            PlacementMatrix.of(one.boxes.numpy(), one.ratio, (height, width)) for one in of_view
        ]
        yield PlacementView(levels, copy if same_size else levels, of_view, places)


def _shapes(example: Example) -> Iterator[Shape]:
    """Yield the shapes whose places the labels tell; those of people's crops are some of these."""
    if example.places_px:
        yield from map(parse_shape, example.places_px)
    elif example.fixations_px is not None:
        yield from map(parse_shape, SHAPES)
    else:
        own = [shape for shape in shapes_of(example) if shape.ratio is not None]
        yield from own[::EVERY]


def candidates_of(seen: HeldOutPhoto) -> Iterator[Candidates]:
    """Yield the candidates of each shape that is not near the photo's own ratio.

    Their values are those of the packaged rule at one place, without placement.
    """
    rule = packaged_rule()
    width, height = seen.size_wh
    chooser = OverlapChooser(seen.objects, seen.size_wh, rule=rule.without_placement())
    for shape, found in zip(seen.shapes, seen.found, strict=True):
        assert shape.ratio is not None, "a shape without a ratio has no places"
        ratio = shape.ratio * height / width
        if (distance := distance_of(ratio)) < LEAST_DISTANCE:
            continue
        boxes_px = for_shape(width, height, shape)
        values = chooser.framing_values(ShapeSearch(shape, boxes_px, found))
        yield Candidates(
            torch.from_numpy(boxes_px / np.array([width, height] * 2, np.float32)),
            ratio,
            torch.from_numpy(values).float(),
            rule.placement * min(distance, TRAINED_REACH),
            torch.from_numpy(_agreement(seen, shape, boxes_px, ratio)).float(),
            is_measured=not seen.labels.example.places_px,
        )


def _agreement(seen: HeldOutPhoto, shape: Shape, boxes_px: Boxes, ratio: float) -> FloatArray:
    """Return how acceptable boxes [N, 4] are, or how far they agree with people's labels: [N]."""
    example, sides = seen.labels.example, np.array(seen.size_wh * 2, np.float64)
    if example.places_px:
        ranges = example.places_px[shape.name] / sides[int(ratio >= 1)]
        return acceptability(boxes_px / sides, ranges, ratio)
    if example.fixations_px is None:
        return overlap_target(boxes_px / sides, example.human_px / sides, ratio)
    kept = gaze_kept(boxes_px, example.fixations_px)
    if example.heads_px is None or not len(example.heads_px):
        return kept
    whole = shares_shown(boxes_px, example.heads_px) > DRAWN_CUT[1]
    return np.asarray(kept + HEADS_WEIGHT * whole.mean(axis=1))
