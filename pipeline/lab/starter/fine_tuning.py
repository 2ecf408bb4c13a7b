"""Fine-tune S2CNet on photos with people's labels and on human scores without photos, together.

The lower backbone is frozen (`labelled_photos`); the rest of it and the whole graph are trained.
The loss has three parts:

- lists of candidates with targets from people's labels (`labelled_lists`);
- the map: its last channel, 0 until now, learns the density of gaze; the others stay close to their
  former values, so that synthetic maps can still replace those of unavailable photos;
- human scores of GAICv1's crops on synthetic maps, as in `graph_training`.

The backbone's batch-norms keep their statistics. The final weights are a moving average.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.boxes import mirror
from pipeline.lab.batches import batches_of
from pipeline.lab.starter.crop_lists import CropList
from pipeline.lab.starter.graph_training import lists_loss
from pipeline.lab.starter.labelled_photos import (
    LabelledPhoto,
    joined_features,
    trained_parts,
    upper_backbone,
)
from pipeline.lab.starter.list_samples import sample_lists
from pipeline.lab.starter.scored_crops import ScoredLayout
from pipeline.lab.starter.semantic_map import (
    CHANNELS,
    GAZE,
    SUBJECT,
    position_map,
    ridge_regression,
)
from pipeline.lab.starter.synthetic_map import add_gaze, perturbed_detections, synthetic_map
from pipeline.lab.training.schedule import moving_average, optimizer_step
from s2cnet import S2CNet
from s2cnet.inputs import input_size

# Set by hand.
STEPS, PHOTOS_PER_STEP, SCORED_PER_STEP, SCORED_CROPS = 600, 4, 2, 24
BACKBONE_RATE, GRAPH_RATE, WARMUP_SHARE = 2.5e-4, 5e-4, 0.1
BACKBONE_DECAY, GRAPH_DECAY, EMA_DECAY = 0.01, 0.02, 0.99
BETAS, CLIP_NORM = (0.9, 0.98), 1.0
GAZE_WEIGHT, KEEP_WEIGHT = 2.0, 0.5  # in the loss: of the gaze channel, of the other channels
CHANNEL_WEIGHTS = (0.3, 0.3, 1.0, 1.0, 1.0, 1.5, 0.6, 0.0)  # of the squared errors
REGRESSION_PHOTOS, RIDGE = 240, 3e-3  # for the ridge regression of gaze
GAZE_FROM_SUBJECT = 0.3  # initial weight of gaze in the graph, as a share of the subject's
POSITIONS_ONLY = 0.12  # probability of a map of only positions, with the published boxes


def fine_tune(
    network: S2CNet,
    photos: Sequence[LabelledPhoto],
    layouts: Sequence[ScoredLayout],
    subjects: Sequence[NDArray[np.float32]],
    seed: int = 0,
    steps: int = STEPS,
) -> None:
    """Train the network in place.

    photos: encoded by this network (`encode_labelled`).
    subjects: one box [4] for each of layouts, shares of sides.
    """
    random = np.random.default_rng(seed)
    network.train()
    network.backbone.eval().requires_grad_(False)
    upper = nn.ModuleList(trained_parts(network))
    upper.requires_grad_(True)
    fit_gaze_channel(network, photos, random)
    backbone = list(upper.parameters())
    graph = [p for name, p in network.named_parameters() if not name.startswith("backbone.")]
    optimizer = torch.optim.AdamW(
        [
            {"params": backbone, "weight_decay": BACKBONE_DECAY},
            {"params": graph, "weight_decay": GRAPH_DECAY},
        ],
        lr=GRAPH_RATE,
        betas=BETAS,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [BACKBONE_RATE, GRAPH_RATE], total_steps=steps, pct_start=WARMUP_SHARE
    )
    averaged = moving_average(network, EMA_DECAY)
    batches = _batches(photos, random)
    for _ in range(steps):
        loss = batch_loss(network, next(batches), random)
        for index in random.integers(len(layouts), size=SCORED_PER_STEP):
            loss = loss + human_score_loss(network, layouts[index], subjects[index], random)
        optimizer_step(loss, [*backbone, *graph], CLIP_NORM, optimizer, schedule)
        averaged.update_parameters(network)
    network.load_state_dict(averaged.module.state_dict())
    network.requires_grad_(True).eval()


@torch.no_grad()
def fit_gaze_channel(
    network: S2CNet, photos: Sequence[LabelledPhoto], random: np.random.Generator
) -> None:
    """Set the gaze channel by ridge regression, and its initial weights in the graph."""
    with_gaze = [photo for photo in photos if photo.gaze is not None]
    if not with_gaze:
        return

    def features_and_gaze() -> Iterator[tuple[Tensor, Tensor]]:
        for index in random.permutation(len(with_gaze))[:REGRESSION_PHOTOS]:
            photo = with_gaze[index]
            joined = joined_features(network, photo.fine[:1].float(), photo.middle[:1].float())
            yield joined[0], torch.from_numpy(photo.gaze).double().flatten()

    coefficients = ridge_regression(features_and_gaze(), RIDGE)
    reduce = network.backbone.reduce
    reduce.weight[GAZE] = coefficients[:-1, None, None]
    assert reduce.bias is not None
    reduce.bias[GAZE] = coefficients[-1]
    samples = network.embedding.linear.in_features // len(CHANNELS)
    by_channel = network.embedding.linear.weight.view(-1, len(CHANNELS), samples)
    by_channel[:, GAZE] = GAZE_FROM_SUBJECT * by_channel[:, SUBJECT]


def _batches(
    photos: Sequence[LabelledPhoto], random: np.random.Generator
) -> Iterator[list[LabelledPhoto]]:
    """Yield batches of photos of one input size, endlessly; an epoch has each photo once."""
    sizes = [photo.size_wh for photo in photos]
    while True:
        for batch in batches_of(sizes, PHOTOS_PER_STEP, random):
            yield [photos[index] for index in batch]


def batch_loss(
    network: S2CNet, batch: Sequence[LabelledPhoto], random: np.random.Generator
) -> Tensor:
    """Compute the mean loss of the lists and maps of photos of one input size."""
    views = [int(random.integers(len(photo.fine))) for photo in batch]

    def stacked(name: str) -> Tensor:
        pairs = zip(batch, views, strict=True)
        return torch.stack([getattr(photo, name)[view] for photo, view in pairs]).float()

    maps = upper_backbone(network, stacked("fine"), stacked("middle"))
    weights = torch.tensor(CHANNEL_WEIGHTS)[:, None, None]
    kept = (weights * (maps - stacked("map_before")).square()).mean() * len(CHANNELS)
    total = KEEP_WEIGHT * kept * len(batch)
    for features, photo, view in zip(maps, batch, views, strict=True):
        total = total + labelled_photo_loss(network, features, photo, view % 2 == 1, random)
    return total / len(batch)


def labelled_photo_loss(
    network: S2CNet,
    features: Tensor,
    photo: LabelledPhoto,
    mirrored: bool,
    random: np.random.Generator,
) -> Tensor:
    """Compute the loss of some lists and of the gaze channel on a photo's map [8, h, w]."""
    width, height = photo.size_wh
    size = np.array([width, height, width, height], np.float32)
    lists = sample_lists(photo.lists, photo.size_wh, random)
    objects = photo.objects
    if mirrored:
        lists = [each.with_crops(mirror(each.crops, width)) for each in lists]
        objects = mirror(objects, width)
    found = perturbed_detections((objects / size).astype(np.float32), random) * size
    loss = lists_loss(network, features, found, lists, photo.size_wh)
    if photo.gaze is None:
        return loss
    wanted = torch.from_numpy(photo.gaze)
    wanted = wanted.flip(-1) if mirrored else wanted
    return loss + GAZE_WEIGHT * functional.mse_loss(features[GAZE], wanted)


def human_score_loss(
    network: S2CNet, layout: ScoredLayout, subject: NDArray[np.float32], random: np.random.Generator
) -> Tensor:
    """Compute the loss on the human scores of an unavailable photo, with a synthetic map."""
    if random.random() < 0.5:
        layout, subject = layout.mirrored(), mirror(subject[None], 1.0)[0]
    width, height = input_size(round(1000 * layout.aspect), 1000)
    size = np.array([width, height, width, height])
    if random.random() < POSITIONS_ONLY:
        features = torch.from_numpy(position_map(height // 16, width // 16))
        objects = layout.objects.astype(np.float64)
    else:
        features, objects = synthetic_map(layout, subject, width, height, random)
        features = add_gaze(features, subject, random)
    drawn = random.permutation(len(layout.scores))[:SCORED_CROPS]
    truth = layout.scores[drawn].astype(np.float64)
    scored = CropList((layout.crops[drawn] * size).astype(np.float32), truth, choice=False)
    return lists_loss(network, features, objects * size, [scored], (width, height))
