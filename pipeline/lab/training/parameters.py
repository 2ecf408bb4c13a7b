"""Which parameters of a network are trained, and at which rate."""

from collections.abc import Iterator

from torch import nn

from pipeline.lab.training.settings import TrainSettings


def set_trainable(network: nn.Module, settings: TrainSettings) -> None:
    """Let all parameters require gradients, except those of frozen batch-norms."""
    frozen = {
        id(parameter) for norm in _frozen(network, settings) for parameter in norm.parameters()
    }
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) not in frozen)


def set_training_mode(network: nn.Module, settings: TrainSettings) -> None:
    """Set training mode; frozen batch-norms use their stored statistics and do not update them."""
    network.train()
    for norm in _frozen(network, settings):
        norm.eval()


def parameter_groups(network: nn.Module, settings: TrainSettings) -> list[dict[str, object]]:
    """Group the parameters that require gradients by learning rate and decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            share = settings.backbone_rate if name.startswith("backbone.stage") else 1.0
            decay = settings.weight_decay if parameter.dim() > 1 else 0.0
            groups.setdefault((share, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": share * settings.learning_rate, "weight_decay": decay}
        for (share, decay), parameters in groups.items()
    ]


def _frozen(network: nn.Module, settings: TrainSettings) -> Iterator[nn.BatchNorm2d]:
    if not settings.live_norm:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                yield module
