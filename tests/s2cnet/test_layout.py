"""The memory layout of convolutions, by device."""

import torch
from torch import nn

from s2cnet import S2CNet
from s2cnet.fast.folded import fold_backbone
from s2cnet.layout import layout_for


def test_channels_last_is_for_cpus_alone() -> None:
    assert layout_for(torch.device("cpu")) is torch.channels_last
    assert layout_for(torch.device("cuda:1")) is torch.contiguous_format


def test_the_folded_backbone_has_the_layout_of_its_device() -> None:
    folded = fold_backbone(S2CNet.untrained().backbone)
    (stem, *_) = (one for one in folded.modules() if isinstance(one, nn.Conv2d))
    assert stem.kernel_size == (3, 3)  # of a kernel of one, both layouts are the same
    assert stem.weight.is_contiguous(memory_format=torch.channels_last)
