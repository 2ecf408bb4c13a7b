"""A network that predicts a crop's human score from the layout only: the crop and a subject box.

No photo is used. The subject of a photo is not known either: it is taken to be the box, among
several, that explains the photo's scores best. Network and subjects are improved alternately (hard
expectation-maximisation). On the held-out photos of GAICv1, subjects found in this way explain the
human order with SRCC .75, and .60 when their edges are off by a fifth of the photo.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.boxes import Boxes, mirror
from pipeline.cropping.search import Scores
from pipeline.lab.starter.scored_crops import ScoredLayout
from pipeline.lab.training.losses import crop_loss
from pipeline.lab.training.schedule import optimizer_step

# Set by hand.
ROUNDS, EPOCHS, LAST_EPOCHS = 4, 5, 10
PHOTOS_PER_STEP, CROPS_PER_PHOTO = 16, 48
RATE, DECAY = 2e-3, 0.02
# Of the steps; OneCycleLR divides by share x steps - 1, which is 0 for .1 of ten steps.
WARMUP_SHARE = 0.11
LARGEST, SMALLEST = 0.75, 0.004  # share of the photo that a subject may fill
FIRST_CANDIDATES = 6  # of a photo; its first subject is drawn from them
KEPT_EDGE_SLOPE = 12  # of the sigmoid that maps a margin to 1, edge kept, or 0, edge cut


class LayoutTeacher(nn.Module):
    """Predicts the score of a crop from its geometry, its photo's shape and a subject box."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.crop = nn.Sequential(nn.Linear(CROP_FEATURES, width), nn.ReLU(), nn.Linear(width, 1))
        self.pair = nn.Sequential(
            nn.Linear(PAIR_FEATURES, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
        )
        self.both = nn.Sequential(
            nn.Linear(width + CROP_FEATURES, width),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, 1),
        )

    def forward(self, crops: Tensor, subjects: Tensor, aspects: Tensor) -> Tensor:
        """Map crops [B, N, 4], subjects [B, 4], aspects [B] (width / height) to scores [B, N]."""
        shape = crop_features(crops, aspects)
        pair = self.pair(pair_features(crops, subjects, aspects))
        scores: Tensor = self.both(torch.cat([pair, shape], dim=-1)) + self.crop(shape)
        return scores.squeeze(-1)


CROP_FEATURES, PAIR_FEATURES = 11, 25


def crop_features(crops: Tensor, aspects: Tensor) -> Tensor:
    """Compute [B, N, 11]: corners, sides, area, ratio in pixels, the photo's ratio, centre."""
    x0, y0, x1, y1 = crops.unbind(-1)
    width, height = x1 - x0, y1 - y0
    aspect = aspects.log()[:, None].expand_as(x0)
    shape = (width / height).log() + aspect
    place = [(x0 + x1) / 2 - 0.5, (y0 + y1) / 2 - 0.5]
    return torch.stack([x0, y0, x1, y1, width, height, width * height, shape, aspect, *place], -1)


def pair_features(crops: Tensor, subjects: Tensor, aspects: Tensor) -> Tensor:
    """Compute [B, N, 25]: share of the subject that a crop keeps, its margins, both boxes."""
    subject = subjects[:, None].expand_as(crops)
    c0x, c0y, c1x, c1y = crops.unbind(-1)
    s0x, s0y, s1x, s1y = subject.unbind(-1)
    crop_w, crop_h = (c1x - c0x).clamp_min(1e-3), (c1y - c0y).clamp_min(1e-3)
    width, height = (s1x - s0x).clamp_min(1e-3), (s1y - s0y).clamp_min(1e-3)
    kept_w = (torch.minimum(c1x, s1x) - torch.maximum(c0x, s0x)).clamp_min(0)
    kept_h = (torch.minimum(c1y, s1y) - torch.maximum(c0y, s0y)).clamp_min(0)
    kept = kept_w * kept_h
    margins = torch.stack(
        [(s0x - c0x) / crop_w, (s0y - c0y) / crop_h, (c1x - s1x) / crop_w, (c1y - s1y) / crop_h],
        -1,
    )
    aspect = aspects.log()[:, None].expand_as(c0x)
    shares = [kept / (width * height), kept / (crop_w * crop_h), kept_w / width, kept_h / height]
    own = [width * height, (width / height).log() / 2, aspect]
    whole = [crop_w * crop_h, (crop_w / crop_h).log() + aspect]
    return torch.cat(
        [
            torch.stack(shares, -1),
            margins.clamp(-1.5, 1.5),
            torch.sigmoid(KEPT_EDGE_SLOPE * margins),
            subject,
            torch.stack(own, -1),
            crops,
            torch.stack(whole, -1),
        ],
        dim=-1,
    )


def candidate_subjects(objects: Boxes) -> Boxes:
    """List object boxes and hulls of any two, without huge and tiny ones: [S, 4], S ≥ 1."""
    first, second = np.tril_indices(len(objects))
    low = np.minimum(objects[first, :2], objects[second, :2])
    high = np.maximum(objects[first, 2:], objects[second, 2:])
    area = np.prod(high - low, axis=1)
    possible = np.concatenate([low, high], axis=1)
    kept = possible[(area < LARGEST) & (area > SMALLEST)]
    return kept if len(kept) else possible[:1]


def find_subjects(
    layouts: Sequence[ScoredLayout], seed: int = 0, rounds: int = ROUNDS
) -> tuple[LayoutTeacher, list[NDArray[np.float32]]]:
    """Find the teacher and each photo's subject box [4] by alternate fitting and choosing."""
    random = np.random.default_rng(seed)
    possible = [candidate_subjects(layout.objects) for layout in layouts]
    subjects = [boxes[random.integers(min(len(boxes), FIRST_CANDIDATES))] for boxes in possible]
    for turn in range(rounds):
        epochs = LAST_EPOCHS if turn == rounds - 1 else EPOCHS
        teacher = fit_teacher(layouts, subjects, epochs, seed + turn)
        costs = [subject_costs(teacher, *pair) for pair in zip(layouts, possible, strict=True)]
        subjects = [boxes[cost.argmin()] for boxes, cost in zip(possible, costs, strict=True)]
    return teacher, subjects


def fit_teacher(
    layouts: Sequence[ScoredLayout], subjects: Sequence[Scores], epochs: int, seed: int
) -> LayoutTeacher:
    """Train a teacher for known subjects; return it in evaluation mode."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    teacher = LayoutTeacher()
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=RATE, weight_decay=DECAY)
    steps = epochs * (len(layouts) // PHOTOS_PER_STEP)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=max(steps, 2), pct_start=WARMUP_SHARE
    )
    for _ in range(epochs):
        order = random.permutation(len(layouts))
        for first in range(0, len(order) - PHOTOS_PER_STEP + 1, PHOTOS_PER_STEP):
            drawn = order[first : first + PHOTOS_PER_STEP]
            losses = [_photo_loss(teacher, layouts[i], subjects[i], random) for i in drawn]
            loss = torch.stack(losses).mean()
            optimizer_step(loss, teacher.parameters(), 1.0, optimizer, schedule)
    return teacher.eval()


def _photo_loss(
    teacher: LayoutTeacher, layout: ScoredLayout, subject: Scores, random: np.random.Generator
) -> Tensor:
    if random.random() < 0.5:
        layout, subject = layout.mirrored(), mirror(subject[None], 1)[0]
    drawn = random.permutation(len(layout.scores))[:CROPS_PER_PHOTO]
    (scores,) = teacher(*_tensors(layout.crops[drawn], subject[None], layout.aspect))
    return crop_loss(scores, torch.from_numpy(layout.scores[drawn]), rank_weight=1.0)


@torch.no_grad()
def subject_costs(teacher: LayoutTeacher, layout: ScoredLayout, subjects: Boxes) -> Scores:
    """Compute the mean error [S] of a photo's predicted scores for each of subjects [S, 4]."""
    scores = teacher_scores(teacher, layout.crops, subjects, layout.aspect)
    truth = torch.from_numpy(layout.scores).expand(len(subjects), -1)
    costs = functional.smooth_l1_loss(torch.from_numpy(scores), truth, reduction="none")
    return np.asarray(costs.mean(dim=1).numpy())


@torch.no_grad()
def teacher_scores(
    teacher: LayoutTeacher, crops: Boxes, subjects: Boxes, aspect: float
) -> NDArray[np.float32]:
    """Predict scores [S, N] of crops [N, 4] for each of subjects [S, 4]."""
    return np.asarray(teacher(*_tensors(crops, subjects, aspect)).numpy())


def _tensors(crops: Boxes, subjects: Boxes, aspect: float) -> tuple[Tensor, Tensor, Tensor]:
    count = len(subjects)
    return (
        torch.as_tensor(crops, dtype=torch.float32).expand(count, -1, -1),
        torch.as_tensor(subjects, dtype=torch.float32),
        torch.full((count,), float(aspect)),
    )
