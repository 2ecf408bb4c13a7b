"""Weights that were trained without a fold of the labelled photos: their files and networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.errors import UsageError
from pipeline.lab.folds import FOLDS
from s2cnet import S2CNet, load_model
from s2cnet.checkpoints.files import WeightsError, parse_weights, read_weights


@dataclass(frozen=True)
class FoldWeights:
    """Folders of fold0.safetensors to fold4.safetensors, each trained without that fold's photos.

    detectors, networks: of embedded detectors and of S2CNets; None: one for all photos.
    """

    detectors: Path | None = None
    networks: Path | None = None

    def files(self) -> list[Path]:
        """The files of all folds, detectors first. Raises UsageError where one is missing."""
        folders = [folder for folder in (self.detectors, self.networks) if folder is not None]
        found = [folder / fold_name(fold) for folder in folders for fold in range(FOLDS)]
        for path in found:
            if not path.is_file():
                raise UsageError(f"{path.parent} has no {path.name}: each fold needs its weights")
        return found

    def detector(self, fold: int) -> SubjectNetwork | None:
        """The detector's network that has not seen a fold, on the CPU. Raises WeightsError."""
        if self.detectors is None:
            return None
        path = self.detectors / fold_name(fold)
        try:
            return network_of(parse_weights(read_weights(str(path))))
        except RuntimeError as error:  # tensors of another network
            problem = " ".join(str(error).split())[:200]
            raise WeightsError(f"{path}: no embedded detector: {problem}") from error

    def network(self, fold: int, device: torch.device | str = "cpu") -> S2CNet | None:
        """The S2CNet that has not seen a fold, on a device. Raises WeightsError."""
        if self.networks is None:
            return None
        return load_model(str(self.networks / fold_name(fold)), device=device)


def fold_name(fold: int) -> str:
    """The file of weights that a fold's photos were held out from."""
    return f"fold{fold}.safetensors"


def network_of(state: Mapping[str, Tensor]) -> SubjectNetwork:
    """The detector's network with these tensors, in evaluation mode."""
    network = SubjectNetwork()
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return network.eval()
