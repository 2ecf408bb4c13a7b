"""Trains S2CNet's graph on a readable map: human scores of unseen photos, and believed subjects.

A step sees photos, whose truth is what people would do if the belief were right, and one photo of
the human scores, whose map and boxes are drawn around the subject that explains its scores, with
the errors that the detector makes. Both times there are crops of the grid, and lists of one ratio
as the product proposes them, whose truth is the expected overlap with people's crops: the best of
a list is then the crop of least expected loss, not the likeliest one.

Three things make the boxes count, which a good map would make superfluous: some maps show places
only, photos whose largest middle crop people like least are seen most, and one list of every photo
has a ratio far from its own, where the subject's place decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.cropping import candidates
from pipeline.lab.starter.crop_lists import CropList, as_score, far_list, ratio_lists
from pipeline.lab.starter.drawn_map import drawn_map, found_differently
from pipeline.lab.starter.layout_teacher import LayoutTeacher, teacher_scores
from pipeline.lab.starter.people import People, draw_people, expected_iou, shaken
from pipeline.lab.starter.scored_crops import ScoredLayout
from pipeline.lab.training.losses import crop_loss
from pipeline.lab.training.schedule import moving_average
from s2cnet import S2CNet
from s2cnet.graph import box_centres
from s2cnet.inputs import input_size

STEPS, PHOTOS_A_STEP, RATE, DECAY, AVERAGE = 4500, 3, 1e-3, 0.02, 0.998
GRID_CROPS, SCORED_CROPS, RATIO_CROPS = 12, 24, 20
RATIO_CROPS_SCORED = 10  # in a list of a photo of the human scores
FAR_SHARE = 0.3  # how often a photo of the human scores has a list of a far ratio
PEOPLE = 128
TEACHER_SHARE = 0.65  # of a grid crop's truth; the rest is its expected overlap
PLACES_ONLY, NO_KINDS = 0.25, 0.15  # how often a map shows only places, or no kind of object
# Photos are drawn the more often the less their people overlap with the largest middle crop, with
# a weight of exp(-overlap / OFF_CENTRE) within bounds: their mean overlap is then .65, not .74;
# that of real people is .6425.
OFF_CENTRE, OFTENER = 0.08, (0.3, 3.5)
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
    chances = off_centre(photos, random)
    torch.manual_seed(seed)
    network.backbone.requires_grad_(False)
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learnt, lr=RATE, weight_decay=DECAY, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps, pct_start=0.05
    )
    averaged = moving_average(network, AVERAGE)
    network.train()
    for _ in range(steps):
        drawn = random.choice(len(photos), PHOTOS_A_STEP, p=chances)
        losses = [photo_loss(network, photos[i], teachers, random) for i in drawn]
        scored = int(random.integers(len(layouts)))
        losses.append(2 * layout_loss(network, layouts[scored], subjects[scored], random))
        optimizer.zero_grad()
        loss = torch.stack(losses).sum() / len(losses)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learnt, 1.0)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(network)
    network.load_state_dict(averaged.module.state_dict())
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
    people = draw_people(photo.subjects, photo.weights, PEOPLE, random)
    lists = ratio_lists(width, height, people, RATIO_CROPS, random)
    lists.append(far_list(width, height, people, RATIO_CROPS, random))
    grid = random.permutation(candidates.grid(width, height))[:GRID_CROPS]
    if len(grid):
        likely = random.choice(
            len(photo.weights), 6, p=photo.weights / photo.weights.sum()
        )  # a sample of the belief
        boxes = shaken(photo.subjects[likely], 0.04, random).astype(np.float32)
        told = np.mean(
            [teacher_scores(t, grid / size, boxes, width / height) for t in teachers], axis=(0, 1)
        )
        overlap = as_score(expected_iou(grid / size, people))
        truth = TEACHER_SHARE * told + (1 - TEACHER_SHARE) * overlap
        lists.append(CropList(grid, truth, choice=False))
    features = torch.from_numpy(photo.features.astype(np.float32))
    features = features + 0.04 * torch.randn_like(features)
    shown = random.random()
    if shown < PLACES_ONLY:
        features[3:] = 0  # the boxes alone tell where the subject is
    elif shown < PLACES_ONLY + NO_KINDS:
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
    lists = ratio_lists(width, height, people, RATIO_CROPS_SCORED, random)
    if random.random() < FAR_SHARE:
        lists.append(far_list(width, height, people, RATIO_CROPS_SCORED, random))
    return human + 0.5 * lists_loss(network, features, objects * size, lists, (width, height))


def off_centre(photos: Sequence[SeenPhoto], random: np.random.Generator) -> NDArray[np.float64]:
    """How likely each photo is drawn, [P]; see OFF_CENTRE."""
    overlaps = []
    for photo in photos:
        crops = draw_people(photo.subjects, photo.weights, 40, random).crops
        sides = crops[:, 2:] - crops[:, :2]
        largest = sides / sides.max(axis=1, keepdims=True) / 2
        middles = np.concatenate([0.5 - largest, 0.5 + largest], axis=1)
        pairs = zip(middles, crops, strict=True)
        own = [expected_iou(middle[None], People(c[None], c[None]))[0] for middle, c in pairs]
        overlaps.append(np.mean(own))
    away = np.mean(overlaps) - np.array(overlaps)
    chances = np.clip(np.exp(away / OFF_CENTRE), *OFTENER)
    return np.asarray(chances / chances.sum())


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
        loss = crop_loss(part, truth, rank_weight=1.0)
        if each.choice:
            loss = loss + 0.3 * functional.cross_entropy(2 * part, (2 * truth).softmax(dim=0))
        total = total + each.weight * loss
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
