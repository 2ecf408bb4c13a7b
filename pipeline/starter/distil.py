"""Trains S2CNet's graph on a readable map: human scores of unseen photos, and believed subjects.

A step sees photos, whose truth is what people would do if the belief were right, and one photo of
the human scores, whose map and boxes are drawn around the subject that explains its scores, with
the errors that the detector makes. Both times there are crops of the grid, and lists of one ratio
as the product proposes them, whose truth is the expected overlap with people's crops: the best of
a list is then the crop of least expected loss, not the likeliest one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline import candidates
from pipeline.starter.layout_teacher import LayoutTeacher, teacher_scores
from pipeline.starter.people import People, draw_people, expected_iou, shaken
from pipeline.starter.readable_map import empty_map
from pipeline.starter.scored_crops import ScoredLayout
from pipeline.training.losses import crop_loss
from s2cnet import S2CNet
from s2cnet.graph import box_centres
from s2cnet.preprocess import input_size

STEPS, PHOTOS_A_STEP, RATE, DECAY = 4500, 2, 1e-3, 0.02
GRID_CROPS, SCORED_CROPS, RATIO_CROPS, FREE_CROPS = 14, 24, 11, 4
PEOPLE = 96
TIGHTER = 0.92  # other networks' boxes are a little larger than what people's scores imply
USUAL = (1, 4 / 3, 16 / 9, 9 / 16, 3 / 4)
RATIOS = (*USUAL, 3 / 2, 2 / 3, 1 / 2, 2, 5 / 4, 4 / 5)
OWN_RATIO, USUAL_RATIO = 0.38, 0.7  # how often a list has a person's ratio; else one of USUAL
# A score is the normalised human one. Within a photo that is about 10 x (expected IoU - .54), by
# regression of human scores on the expected IoU of the same crops.
SCORE_OF_IOU, MEAN_IOU = 10.0, 0.54
TEACHER_SHARE = 0.65  # of a grid crop's truth; the rest is its expected overlap
MIDDLE = np.array([0.3, 0.3, 0.7, 0.7])  # some people's subject is what nobody foresees
UNFORESEEN = 0.1


@dataclass(frozen=True, eq=False)
class SeenPhoto:
    """A view as the network sees it, and the belief about it. Boxes as shares of the sides."""

    features: NDArray[np.float16]  # [8, h / 16, w / 16]
    size_wh: tuple[int, int]  # of the input
    objects: NDArray[np.float32]  # [D, 4] of the embedded detector
    subjects: NDArray[np.float64]  # [S, 4]
    weights: NDArray[np.float64]  # [S]


@dataclass(frozen=True, eq=False)
class CropList:
    """Crops [N, 4] in input pixels and their true scores [N]; `choice`: one of them is taken."""

    crops: NDArray[np.float32]
    truth: NDArray[np.float64]
    choice: bool


def distil(
    network: S2CNet,
    photos: Sequence[SeenPhoto],
    layouts: Sequence[ScoredLayout],
    subjects: Sequence[NDArray[np.float32]],
    teachers: Sequence[LayoutTeacher],
    seed: int = 0,
    steps: int = STEPS,
) -> None:
    """Train everything behind the map, in place. layouts and their subjects go together."""
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    network.backbone.requires_grad_(False)
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=RATE, weight_decay=DECAY, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps, pct_start=0.05
    )
    average = [parameter.detach().clone() for parameter in learnt]
    network.train()
    for step in range(steps):
        drawn = random.integers(len(photos), size=PHOTOS_A_STEP)
        losses = [photo_loss(network, photos[i], teachers, random) for i in drawn]
        scored = int(random.integers(len(layouts)))
        losses.append(2 * layout_loss(network, layouts[scored], subjects[scored], random))
        optimizer.zero_grad()
        loss = torch.stack(losses).sum() / len(losses)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learnt, 1.0)
        optimizer.step()
        schedule.step()
        keep = min(0.998, (step + 1) / (step + 10))
        for kept, parameter in zip(average, learnt, strict=True):
            kept.lerp_(parameter.detach(), 1 - keep)
    with torch.no_grad():
        for kept, parameter in zip(average, learnt, strict=True):
            parameter.copy_(kept)
    network.eval()


def photo_loss(
    network: S2CNet,
    photo: SeenPhoto,
    teachers: Sequence[LayoutTeacher],
    random: np.random.Generator,
) -> Tensor:
    """Loss on one photo, its map a little noisy, its boxes as another photo's might be found."""
    width, height = photo.size_wh
    size = np.array([width, height, width, height])
    subjects = np.stack([grown(subject, TIGHTER) for subject in photo.subjects])
    people = draw_people(subjects, photo.weights, PEOPLE, random)
    lists = ratio_lists(width, height, people, random)
    grid = random.permutation(candidates.grid(width, height))[:GRID_CROPS]
    if len(grid):
        likely = random.choice(
            len(photo.weights), 6, p=photo.weights / photo.weights.sum()
        )  # a sample of the belief
        boxes = shaken(photo.subjects[likely], 0.04, random).astype(np.float32)
        told = np.mean(
            [teacher_scores(t, grid / size, boxes, width / height) for t in teachers], axis=(0, 1)
        )
        overlap = _as_score(expected_iou(grid / size, people))
        truth = TEACHER_SHARE * told + (1 - TEACHER_SHARE) * overlap
        lists.append(CropList(grid, truth, choice=False))
    features = torch.from_numpy(photo.features.astype(np.float32))
    features = features + 0.04 * torch.randn_like(features)
    if random.random() < 0.15:
        features[4:] = 0  # maps drawn for human scores do not know people from things
    objects = found_differently(photo.objects, random) * size
    return lists_loss(network, features, objects, lists, (width, height))


def layout_loss(
    network: S2CNet, layout: ScoredLayout, subject: NDArray[np.float32], random: np.random.Generator
) -> Tensor:
    """Loss on one photo that nobody here has seen: human scores, and people around its subject."""
    if random.random() < 0.5:
        layout, x0, x1 = layout.mirrored(), 1 - subject[2], 1 - subject[0]
        subject = np.array([x0, subject[1], x1, subject[3]], np.float32)
    width, height = input_size(round(1000 * layout.aspect), 1000)
    size = np.array([width, height, width, height])
    features, objects = drawn_map(layout, subject, width, height, random)
    drawn = random.permutation(len(layout.scores))[:SCORED_CROPS]
    boxes = np.stack([subject.astype(float), MIDDLE])
    people = draw_people(boxes, np.array([1 - UNFORESEEN, UNFORESEEN]), PEOPLE, random)
    truth = layout.scores[drawn].astype(np.float64)
    scored = CropList(layout.crops[drawn] * size, truth, choice=False)
    human = lists_loss(network, features, objects * size, [scored], (width, height))
    lists = ratio_lists(width, height, people, random)
    return human + 0.5 * lists_loss(network, features, objects * size, lists, (width, height))


def ratio_lists(
    width: int, height: int, people: People, random: np.random.Generator
) -> list[CropList]:
    """Two lists of one ratio, a usual one or a person's own, and one of no given ratio."""
    size = np.array([width, height, width, height])
    lists = []
    for _ in range(2):
        known = USUAL if random.random() < USUAL_RATIO else RATIOS
        ratio = float(random.choice(known) * np.exp(random.normal(0, 0.05)))
        if random.random() < OWN_RATIO:
            x0, y0, x1, y1 = people.crops[random.integers(len(people.crops))]
            ratio = float(np.clip((x1 - x0) / (y1 - y0) * width / height, 0.4, 2.5))
        crops = random.permutation(candidates.for_ratio(width, height, ratio))[:RATIO_CROPS]
        overlap = expected_iou(crops / size, people, ratio * height / width)
        lists.append(CropList(crops, _as_score(overlap), choice=True))
    crops = random.permutation(candidates.for_free(width, height))[:FREE_CROPS]
    lists.append(CropList(crops, _as_score(expected_iou(crops / size, people)), choice=True))
    return lists


def _as_score(overlap: NDArray[np.float64]) -> NDArray[np.float64]:
    return SCORE_OF_IOU * (overlap - MEAN_IOU)


def lists_loss(
    network: S2CNet,
    features: Tensor,
    objects: NDArray[np.float64],
    lists: list[CropList],
    size_wh: tuple[int, int],
) -> Tensor:
    """Values and order within each list; where one is taken, also that it is a good one."""
    crops = torch.from_numpy(np.concatenate([each.crops for each in lists])).float()
    scores = map_scores(network, features, crops, torch.from_numpy(objects).float(), size_wh)
    total = scores.new_zeros(())
    parts = torch.split(scores, [len(each.crops) for each in lists])
    for part, each in zip(parts, lists, strict=True):
        truth = torch.from_numpy(each.truth).float()
        total = total + crop_loss(part, truth, rank_weight=1.0)
        if each.choice:
            total = total + 0.3 * functional.cross_entropy(2 * part, (2 * truth).softmax(dim=0))
    return total


def map_scores(
    network: S2CNet, features: Tensor, crops: Tensor, objects: Tensor, size_wh: tuple[int, int]
) -> Tensor:
    """`S2CNet.forward` of one photo from its map [8, h, w] on. crops [N, 4], objects [D, 4]."""
    width, height = size_wh
    filled = network.object_boxes([objects], height, width)[0]
    boxes = torch.cat([crops, filled])
    rois = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], dim=1)
    nodes = network.embedding(network.sample(features[None], rois))
    crop_nodes, object_nodes = nodes.split([len(crops), len(filled)])
    everything = torch.cat(
        [crop_nodes[:, None], object_nodes[None].expand(len(crops), -1, -1)], dim=1
    )
    placed = torch.cat([crops[:, None], filled[None].expand(len(crops), -1, -1)], dim=1)
    relations = network.relations(everything, box_centres(placed, height, width))
    scores: Tensor = network.head(network.transformer(everything, *relations))
    return scores


def found_differently(
    boxes: NDArray[np.float32], random: np.random.Generator
) -> NDArray[np.float64]:
    """Boxes [D, 4] moved a little, some or all of them missed."""
    found = boxes.astype(np.float64)
    if random.random() < 0.6 and len(found):
        found = shaken(found, random.choice([0.01, 0.03, 0.06]), random)
    if len(found) > 1:
        found = found[random.random(len(found)) < random.choice([0.6, 0.85, 1.0])]
    return found[:0] if random.random() < 0.04 else found


def grown(box: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """A box [4] with sides times `factor`, inside the photo."""
    middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * factor
    return np.asarray(np.clip(np.concatenate([middle - half, middle + half]), 0, 1))


def drawn_map(
    layout: ScoredLayout,
    subject: NDArray[np.float32],
    width: int,
    height: int,
    random: np.random.Generator,
) -> tuple[Tensor, NDArray[np.float64]]:
    """A map [8, h / 16, w / 16] and boxes [D, 4] as a photo with this subject might give them."""
    values = empty_map(height // 16, width // 16)
    x, y = (values[0] + 1) / 2, (values[1] + 1) / 2

    def bump(box: NDArray[np.float64]) -> NDArray[np.float32]:
        middle, radius = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, 0.03)
        offset_x, offset_y = (x - middle[0]) / radius[0], (y - middle[1]) / radius[1]
        edge = np.abs(offset_x) ** 2.5 + np.abs(offset_y) ** 2.5
        return np.asarray(1 / (1 + edge**2), np.float32)

    def moved(deviation: float) -> NDArray[np.float64]:
        return shaken(subject[None].astype(np.float64), deviation, random)

    if random.random() < 0.85:
        values[3] = random.uniform(0.5, 1) * bump(grown(moved(0.08)[0], random.uniform(1.1, 1.9)))
    for box in layout.objects[random.integers(len(layout.objects), size=random.integers(4))]:
        values[3] = np.maximum(values[3], random.uniform(0.1, 0.6) * bump(box.astype(float)))
    values[3] = np.clip(values[3] + random.normal(0, 0.05, values[3].shape), 0, 1)
    if random.random() < 0.5:
        values[random.choice([4, 6])] = random.uniform(0.3, 1) * bump(moved(0.08)[0])
    # The detector sees a subject's core, all of it, and sometimes the very object.
    boxes = [
        shaken(grown(moved(0.06)[0], random.uniform(*sizes))[None], deviation, random)
        for sizes, deviation, chance in (
            ((0.9, 1.5), 0.05, 0.85),
            ((1.2, 2.0), 0.06, 0.7),
            ((1.0, 1.0), 0.04, 0.5),
        )
        if random.random() < chance
    ]
    others = random.permutation(layout.objects)[: random.integers(6)].astype(np.float64)
    small = others[np.prod(others[:, 2:] - others[:, :2], axis=1) < 0.6]
    boxes.append(shaken(small, 0.03, random))
    return torch.from_numpy(values), np.concatenate(boxes)
