"""Our MobileNetV2 against torchvision's: names, random weights, and output."""

import torch
from torchvision.models import mobilenet_v2

from s2cnet.network.mobilenet import mobilenet_v2_features


def test_the_same_seed_draws_torchvision_s_weights_and_they_compute_the_same() -> None:
    torch.manual_seed(3)
    theirs, drawn_next = mobilenet_v2(weights=None).features.eval(), torch.rand(3)
    torch.manual_seed(3)
    ours = mobilenet_v2_features().eval()
    assert torch.equal(torch.rand(3), drawn_next)  # the layers behind it are drawn from these
    own, other = ours.state_dict(), theirs.state_dict()
    assert list(own) == list(other)
    assert all(torch.equal(own[name], other[name]) for name in own)
    for module in (ours, theirs):  # an untrained network's outputs vanish in its depth
        for name, tensor in module.state_dict().items():
            if name.endswith("running_var"):
                tensor.fill_(0.05)
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        made = ours(images)
        assert torch.equal(made, theirs(images))
    assert made.std() > 0.01
