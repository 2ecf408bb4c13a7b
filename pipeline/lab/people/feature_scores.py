"""The error of scores on a predicted feature map, compared with S2CNet's own, with gradients.

An error of the map matters only if it changes which crop is better, so the branch is also trained
on the scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline.lab.people.feature_views import FeatureView
from s2cnet import S2CNet

CROPS = 48  # of each view, drawn again in every step
# Ratios of drawn crops: those of thumbnails, and multiples of the view's own.
RATIOS, OWN_RATIOS = (1, 9 / 16, 16 / 9, 3 / 4, 4 / 3), (1, 1.15, 1 / 1.15)
LARGEST, MIN_SHARE = 0.4, 0.55  # share of crops of the largest size; sides of the others
LEVEL_WEIGHT = 0.3  # of errors of the scores themselves; errors about their mean have weight 1
MIN_VARIANCE = 1e-4  # of a view's scores


def drawn_crops(width: int, height: int, count: int, random: np.random.Generator) -> Tensor:
    """Draw crops of a view, float32 [count, 4] xyxy, in whole pixels of S2CNet's input."""
    own = width / height
    ratios = random.choice([*RATIOS, *(own * times for times in OWN_RATIOS)], count)
    tall = np.minimum(height, width / ratios)
    share = np.where(random.random(count) < LARGEST, 1, random.uniform(MIN_SHARE, 1, count))
    sides = np.stack([tall * ratios, tall], axis=1) * share[:, None]
    low = random.random((count, 2)) * ((width, height) - sides)
    high = np.minimum(np.ceil(low + sides), (width, height))
    return torch.from_numpy(np.concatenate([np.floor(low), high], axis=1)).float()


def score_loss(
    network: S2CNet, views: Sequence[FeatureView], maps: Tensor, random: np.random.Generator
) -> Tensor:
    """Compute the mean squared error of scores, in shares of the variance of each view's scores.

    maps: predicted feature maps of the views, then of their copies, [2 B, 8, H, W], of one size.
    network: on the device of the maps; it is not trained.
    """
    device, (width, height) = maps.device, views[0].size_wh
    drawn = [drawn_crops(width, height, CROPS, random) for _ in views]
    objects = [view.objects.to(device) for view in views]
    own = torch.stack([view.target for view in views]).to(device).float()
    with torch.no_grad():
        wanted = network.judge(own, _rois(drawn, device), objects, height, width)
    predicted = network.judge(
        maps, _rois([*drawn, *drawn], device), [*objects, *objects], height, width
    )
    of_views = wanted.view(len(views), CROPS)
    error = predicted.view(2, len(views), CROPS) - of_views
    spread = of_views.var(dim=1, keepdim=True) + MIN_VARIANCE
    about_mean = error - error.mean(dim=2, keepdim=True)
    squared = about_mean.square() + LEVEL_WEIGHT * error.square()
    loss: Tensor = (squared / spread).mean()
    return loss


def _rois(crops: Sequence[Tensor], device: torch.device) -> Tensor:
    """Stack the crops [K, 4] of each view as rows [sum of K, 5], the view's index in front."""
    rows = [
        torch.cat([torch.full((len(one), 1), float(i)), one], dim=1) for i, one in enumerate(crops)
    ]
    return torch.cat(rows).to(device)
