"""Losses over the crops of one photo."""

from torch import Tensor
from torch.nn import functional


def crop_loss(predicted: Tensor, truth: Tensor, rank_weight: float) -> Tensor:
    """Add smooth L1 and weighted rank loss. predicted, truth [N] normalised scores -> scalar."""
    return functional.smooth_l1_loss(predicted, truth) + rank_weight * rank_loss(predicted, truth)


def rank_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Compute Σ max(0, −sign(Δg)(Δp − Δg)) over the pairs of crops, divided by their number.

    Δp and Δg are the predicted and the true difference of a pair. A pair costs something where its
    order is wrong or its predicted difference is too small, not where it is too large. Wei et al.,
    "Good View Hunting", CVPR 2018, with the margin of Li et al., CVPR 2020. Fewer than two crops
    cost 0.
    """
    count = len(predicted)
    if count < 2:
        return predicted.sum() * 0
    predicted_gap = predicted[:, None] - predicted
    true_gap = truth[:, None] - truth
    costs = functional.relu(-true_gap.sign() * (predicted_gap - true_gap))
    return costs.sum() / (count * (count - 1))  # every pair is in the sum twice
