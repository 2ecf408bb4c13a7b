"""Train S2CNet's graph on semantic maps: human scores of unseen photos, and pseudo-labels.

A step takes a few photos with pseudo-labels and one photo of the human scores. The map and boxes of
the latter are synthetic, generated around the subject that explains its scores. Targets are the
scores that people gave or that the layout teachers predict. For lists of one ratio, they are the
expected overlap with simulated people's crops: the best crop of such a list is the one of least
expected loss.

A good map would make the detected boxes superfluous. Three measures keep them in use: some maps are
reduced to positions; photos whose subject is off the centre are sampled more often; and one list of
every photo has a ratio far from the photo's own, where the subject's position decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.boxes import mirror
from pipeline.cropping import candidates
from pipeline.lab.starter.crop_lists import CropList, as_score, far_list, ratio_lists
from pipeline.lab.starter.layout_teacher import LayoutTeacher, teacher_scores
from pipeline.lab.starter.scored_crops import ScoredLayout
from pipeline.lab.starter.semantic_map import SUBJECT
from pipeline.lab.starter.simulated_crops import (
    SimulatedCrops,
    expected_iou,
    jittered,
    simulate_crops,
)
from pipeline.lab.starter.synthetic_map import perturbed_detections, synthetic_map
from pipeline.lab.training.losses import crop_loss
from pipeline.lab.training.schedule import moving_average, optimizer_step
from s2cnet import S2CNet
from s2cnet.inputs import input_size

# Set by hand, unless a source is given.
PHOTOS_PER_STEP, RATE, DECAY, EMA_DECAY = 3, 1e-3, 0.02, 0.998
BETAS, WARMUP_SHARE, CLIP_NORM = (0.9, 0.98), 0.05, 1.0
GRID_CROPS, SCORED_CROPS, RATIO_CROPS = 12, 24, 20
RATIO_CROPS_SCORED = 10  # in a list of a photo of the human scores
FAR_SHARE = 0.3  # probability that a photo of the human scores has a list of a far ratio
PEOPLE = 128  # simulated for each photo; FEW_PEOPLE where only a mean is needed
FEW_PEOPLE = 40
TEACHER_SHARE = 0.65  # of a grid crop's target; the rest is its expected overlap
TEACHER_SUBJECTS, TEACHER_JITTER = 6, 0.04  # subjects given to each teacher, and their noise
MAP_NOISE = 0.04
POSITIONS_ONLY, NO_KINDS = 0.25, 0.15  # probability that a map loses all but positions, or kinds
# Weights in the loss: of the photo of the human scores, of its lists of one ratio, of the choice.
SCORED_WEIGHT, LISTS_WEIGHT, CHOICE_WEIGHT, CHOICE_SHARPNESS = 2, 0.5, 0.3, 2
# A photo's sampling weight is exp(-overlap / OFF_CENTRE) within bounds; overlap is that of
# simulated people's crops with the largest centred crop, less its mean. This lowers the mean
# overlap of sampled photos from .74 to .65; that of real people's crops is .6425.
OFF_CENTRE, SAMPLING_BOUNDS = 0.08, (0.3, 3.5)
MIDDLE = np.array([0.3, 0.3, 0.7, 0.7])  # a further subject
MIDDLE_PROBABILITY = 0.1


@dataclass(frozen=True, eq=False)
class EncodedPhoto:
    """A view's semantic map, detections and likely subjects. Boxes as shares of the sides."""

    features: NDArray[np.float16]  # [8, h / 16, w / 16], output of the backbone
    size_wh: tuple[int, int]  # of the input
    objects: NDArray[np.float32]  # [D, 4] of the embedded detector
    subjects: NDArray[np.float64]  # [S, 4]
    probabilities: NDArray[np.float64]  # [S]


def train_graph(
    network: S2CNet,
    photos: Sequence[EncodedPhoto],
    layouts: Sequence[ScoredLayout],
    subjects: Sequence[NDArray[np.float32]],
    teachers: Sequence[LayoutTeacher],
    seed: int,
    steps: int,
) -> None:
    """Train everything behind the backbone, in place.

    subjects: one box [4] for each of the layouts.
    """
    random = np.random.default_rng(seed)
    probabilities = sampling_probabilities(photos, random)
    torch.manual_seed(seed)
    network.backbone.requires_grad_(False)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY, betas=BETAS)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=steps, pct_start=WARMUP_SHARE
    )
    averaged = moving_average(network, EMA_DECAY)
    network.train()
    for _ in range(steps):
        drawn = random.choice(len(photos), PHOTOS_PER_STEP, p=probabilities)
        losses = [photo_loss(network, photos[i], teachers, random) for i in drawn]
        scored = int(random.integers(len(layouts)))
        losses.append(
            SCORED_WEIGHT * layout_loss(network, layouts[scored], subjects[scored], random)
        )
        loss = torch.stack(losses).sum() / len(losses)
        optimizer_step(loss, trained, CLIP_NORM, optimizer, schedule)
        averaged.update_parameters(network)
    network.load_state_dict(averaged.module.state_dict())
    network.eval()


def photo_loss(
    network: S2CNet,
    photo: EncodedPhoto,
    teachers: Sequence[LayoutTeacher],
    random: np.random.Generator,
) -> Tensor:
    """Compute the loss on a photo with pseudo-labels, a noisy map, and a detector's box errors."""
    width, height = photo.size_wh
    size = np.array([width, height, width, height])
    people = simulate_crops(photo.subjects, photo.probabilities, PEOPLE, random)
    lists = ratio_lists(width, height, people, RATIO_CROPS, random)
    lists.append(far_list(width, height, people, RATIO_CROPS, random))
    grid = random.permutation(candidates.grid(width, height))[:GRID_CROPS]
    if len(grid):
        likely = random.choice(
            len(photo.probabilities),
            TEACHER_SUBJECTS,
            p=photo.probabilities / photo.probabilities.sum(),
        )
        boxes = jittered(photo.subjects[likely], TEACHER_JITTER, random).astype(np.float32)
        predicted = np.mean(
            [teacher_scores(t, grid / size, boxes, width / height) for t in teachers], axis=(0, 1)
        )
        overlap = as_score(expected_iou(grid / size, people))
        truth = TEACHER_SHARE * predicted + (1 - TEACHER_SHARE) * overlap
        lists.append(CropList(grid, truth, choice=False))
    features = torch.from_numpy(photo.features.astype(np.float32))
    features = features + MAP_NOISE * torch.randn_like(features)
    drawn = random.random()
    if drawn < POSITIONS_ONLY:
        features[SUBJECT:] = 0  # only the boxes locate the subject
    elif drawn < POSITIONS_ONLY + NO_KINDS:
        features[SUBJECT + 1 :] = 0  # synthetic maps rarely separate people from things
    objects = perturbed_detections(photo.objects, random) * size
    return lists_loss(network, features, objects, lists, (width, height))


def layout_loss(
    network: S2CNet, layout: ScoredLayout, subject: NDArray[np.float32], random: np.random.Generator
) -> Tensor:
    """Compute the loss on a photo of the human scores: on these, and on simulated people."""
    if random.random() < 0.5:
        layout, subject = layout.mirrored(), mirror(subject[None], 1)[0]
    width, height = input_size(round(1000 * layout.aspect), 1000)
    size = np.array([width, height, width, height])
    features, objects = synthetic_map(layout, subject, width, height, random)
    drawn = random.permutation(len(layout.scores))[:SCORED_CROPS]
    boxes = np.stack([subject.astype(float), MIDDLE])
    people = simulate_crops(
        boxes, np.array([1 - MIDDLE_PROBABILITY, MIDDLE_PROBABILITY]), PEOPLE, random
    )
    truth = layout.scores[drawn].astype(np.float64)
    scored = CropList(layout.crops[drawn] * size, truth, choice=False)
    human = lists_loss(network, features, objects * size, [scored], (width, height))
    lists = ratio_lists(width, height, people, RATIO_CROPS_SCORED, random)
    if random.random() < FAR_SHARE:
        lists.append(far_list(width, height, people, RATIO_CROPS_SCORED, random))
    return human + LISTS_WEIGHT * lists_loss(
        network, features, objects * size, lists, (width, height)
    )


def sampling_probabilities(
    photos: Sequence[EncodedPhoto], random: np.random.Generator
) -> NDArray[np.float64]:
    """Compute each photo's sampling probability, [P], see OFF_CENTRE."""
    overlaps = []
    for photo in photos:
        crops = simulate_crops(photo.subjects, photo.probabilities, FEW_PEOPLE, random).crops
        sides = crops[:, 2:] - crops[:, :2]
        largest = sides / sides.max(axis=1, keepdims=True) / 2
        centred = np.concatenate([0.5 - largest, 0.5 + largest], axis=1)
        pairs = zip(centred, crops, strict=True)
        own = [expected_iou(box[None], SimulatedCrops(c[None], c[None]))[0] for box, c in pairs]
        overlaps.append(np.mean(own))
    away = np.mean(overlaps) - np.array(overlaps)
    weights = np.clip(np.exp(away / OFF_CENTRE), *SAMPLING_BOUNDS)
    return np.asarray(weights / weights.sum())


def lists_loss(
    network: S2CNet,
    features: Tensor,
    objects: NDArray[np.float64],
    lists: list[CropList],
    size_wh: tuple[int, int],
) -> Tensor:
    """Compute the loss of values and order in each list and, with a choice, of the best crop."""
    width, height = size_wh
    crops = torch.from_numpy(np.concatenate([each.crops for each in lists])).float()
    rois = functional.pad(crops, (1, 0))  # of image 0
    boxes = torch.from_numpy(objects).float()
    scores = network.judge(features[None], rois, [boxes], height, width)
    total = scores.new_zeros(())
    parts = torch.split(scores, [len(each.crops) for each in lists])
    for part, each in zip(parts, lists, strict=True):
        truth = torch.from_numpy(each.truth).float()
        if each.relative:
            part, truth = part - part.mean(), truth - truth.mean()
        loss = crop_loss(part, truth, rank_weight=1.0)
        if each.choice:
            choice = functional.cross_entropy(
                CHOICE_SHARPNESS * part, (CHOICE_SHARPNESS * truth).softmax(dim=0)
            )
            loss = loss + CHOICE_WEIGHT * choice
        total = total + each.weight * loss
    return total
