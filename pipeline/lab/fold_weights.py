"""Weights that were trained without one fold of the labelled photos: their files and networks."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from pipeline.detectors.differences import from_differences
from pipeline.detectors.feature_head import FeatureHead, SharedTrunk
from pipeline.detectors.subject_network import SubjectNetwork
from pipeline.errors import SettingError, UsageError, naming
from pipeline.lab.folds import FOLDS, fold_name
from pipeline.lab.weight_files import naming_weights
from s2cnet import FastS2CNet, S2CNet, load_model
from s2cnet.checkpoints.files import WeightsError, parse_weights, read_weights

Network = TypeVar("Network", bound=nn.Module)

LONGEST_HEADER = 100_000_000  # bytes, of a safetensors file, as that library allows
SETS = "sets"  # metadata key of a fold's file: the sets whose photos were held out


@dataclass(frozen=True)
class FoldWeights:
    """Folders of fold0.safetensors to fold4.safetensors, each trained without that fold's photos.

    detectors, networks: folders of embedded detectors and of S2CNets; None: one for all photos.
    features: folder of the detectors' branches that S2CNet reads; None: it has its own backbone.
    """

    detectors: Path | None = None
    networks: Path | None = None
    features: Path | None = None

    def files(self, sets: Iterable[str] = ()) -> list[Path]:
        """List the files of all folds, detectors first.

        sets: the names of the sets whose photos are to be judged, see `set_name_of`.

        Raises UsageError where a file is missing, branches are given without detectors, or `sets`
        has a name that is not among the held-out sets that a file records.
        """
        if self.features is not None and self.detectors is None:
            raise SettingError("features", f"{self.features} need detectors of their folds")
        found = []
        for name in ("detectors", "networks", "features"):
            if (folder := getattr(self, name)) is not None:
                with naming(name):
                    check_files(paths := [folder / fold_name(fold) for fold in range(FOLDS)])
                found += paths
        for path in found:
            held_out = held_out_sets(path)
            if held_out is not None and (others := sorted(set(sets) - held_out)):
                raise UsageError(
                    f"{path}: photos of {', '.join(sorted(held_out))} were held out from it, by "
                    f"these names; it can have learnt from those of {', '.join(others)}: call the "
                    "folder as in training, or judge a set that was not in it without folds"
                )
        return found

    def check(self, sets: Iterable[str] = ()) -> None:
        """Read all files, so that a faulty one is reported before hours of work with the others.

        Raises UsageError as `files` does, SettingError where a file contains something else.
        """
        self.files(sets)
        for fold in range(FOLDS):
            self.detector_with_branch(fold)
            self.network(fold)

    def detector(self, fold: int) -> SubjectNetwork | None:
        """Load the detector that has not seen a fold, on the CPU. Raises SettingError."""
        if self.detectors is None:
            return None
        with naming_weights("detectors"):
            return detector_in(self.detectors / fold_name(fold))

    def detector_with_branch(self, fold: int) -> nn.Module | None:
        """Load the network for a fold's photos: the detector, with the branch where given.

        It is on the CPU. Raises SettingError.
        """
        detector = self.detector(fold)
        if detector is None or self.features is None:
            return detector
        path = self.features / fold_name(fold)
        with naming_weights("features"):
            return SharedTrunk(detector, _read(path, branch_of, "branch for S2CNet")).eval()

    def network(self, fold: int, device: torch.device | str = "cpu") -> S2CNet | None:
        """Load the S2CNet that has not seen a fold, on a device. Raises SettingError."""
        if self.networks is None:
            return None
        with naming_weights("networks"):
            return load_model(str(self.networks / fold_name(fold)), device=device)

    def scorer(
        self, fold: int, load_default: Callable[[], S2CNet], device: torch.device | str = "cpu"
    ) -> FastS2CNet:
        """Make the scorer of a fold's photos, without a backbone where branches replace it.

        load_default: returns the S2CNet for all photos, on `device`.

        Raises SettingError for unusable weights of a fold, and what `load_default` raises.
        """
        network = self.network(fold, device) or load_default()
        return FastS2CNet(network, with_backbone=self.features is None)


def fold_metadata(sets: Iterable[str], *starts: Path) -> dict[str, str] | None:
    """Return the metadata for a fold's weights file; None where the held-out sets are unknown.

    sets: names of the sets whose photos were held out, see `set_name_of`.
    starts: files of the same fold that the training started from.
    """
    names = set(sets)
    for start in starts:
        if (before := held_out_sets(start)) is None:
            return None
        names |= before
    return {SETS: "/".join(sorted(names))}


def held_out_sets(path: Path) -> set[str] | None:
    """Read the names of the sets held out from a weights file; None where it records none."""
    try:
        with path.open("rb") as file:  # safetensors opens no path that is not UTF-8
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, LONGEST_HEADER)))
        recorded: str = header["__metadata__"][SETS]
    except (ValueError, LookupError, TypeError):  # reported where the tensors are read
        return None
    return set(recorded.split("/"))


def check_files(paths: Iterable[Path]) -> None:
    """Raise UsageError where a weights file, of a fold or of all photos, is missing."""
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{path.parent} has no {path.name}: each fold needs its weights")


def detector_in(path: Path) -> SubjectNetwork:
    """Load the detector's network from a file of `learn_from_people.py`, on the CPU.

    Its stages may be stored as differences (`pipeline.detectors.differences`). Raises WeightsError.
    """
    return _read(path, lambda state: network_of(from_differences(dict(state))), "embedded detector")


def network_of(state: Mapping[str, Tensor]) -> SubjectNetwork:
    """Make the detector's network with these tensors, in evaluation mode."""
    return _load_state(SubjectNetwork(), state)


def branch_of(state: Mapping[str, Tensor]) -> FeatureHead:
    """Make the branch for S2CNet with these tensors, in evaluation mode."""
    return _load_state(FeatureHead(), state)


def _load_state(network: Network, state: Mapping[str, Tensor]) -> Network:
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return network.eval()


def _read(path: Path, make: Callable[[Mapping[str, Tensor]], Network], kind: str) -> Network:
    """Load a network from its file. Raises WeightsError where it contains something else."""
    data = read_weights(str(path))
    try:
        return make(parse_weights(data))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except (RuntimeError, LookupError, ValueError) as error:  # tensors of another network
        problem = " ".join(str(error).split())[:200]
        raise WeightsError(f"{path}: no {kind}: {problem}") from error
