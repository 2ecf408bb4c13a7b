"""The tensors of the packaged detector, and of detectors with other people branches."""

from __future__ import annotations

from collections.abc import Iterable

import safetensors.torch
import torch

from pipeline.detectors.differences import LOOKING, Tensors, from_differences, of_trunk
from pipeline.detectors.packaged import embedded_weights
from pipeline.detectors.people_head import PeopleHead
from pipeline.detectors.subject_network import SubjectNetwork

SUBJECTS_FILE = "subjects.safetensors"  # of the detector that is trained on all photos


def packaged_weights() -> Tensors:
    """Read the tensors of the embedded detector in the package, half precision."""
    return from_differences(packaged_tensors())


def packaged_tensors() -> Tensors:
    """Read the tensors of the embedded detector as the package stores them."""
    return dict(safetensors.torch.load(embedded_weights()))


def trunk_of(state: Tensors) -> SubjectNetwork:
    """Make a network as `network_of` does, with new people branches; stages copy the trunk's."""
    network = SubjectNetwork()
    trained = {name: value.float() for name, value in state.items() if not is_branch(name)}
    untrained = {name: v for name, v in network.state_dict().items() if is_branch(name)}
    network.load_state_dict({**untrained, **trained, **trunk_copies(untrained, trained)})
    return network.eval().to(memory_format=torch.channels_last)


def is_branch(name: str) -> bool:
    """Return whether a tensor belongs to the people branches or their stages."""
    return name.startswith(("people.", LOOKING))


def trunk_copies(names: Iterable[str], state: Tensors) -> Tensors:
    """Copy the trunk's tensors that those of `looking` among `names` start from."""
    return {name: state[of_trunk(name)].clone() for name in names if name.startswith(LOOKING)}


def without_placement(state: Tensors) -> Tensors:
    """Return the detector's tensors without a preference for places: it was trained on all photos.

    `pipeline.lab.people.placement` trains it without a fold.
    """
    zero = {
        name: torch.zeros_like(t) for name, t in state.items() if name.startswith("placement.out")
    }
    return {**state, **zero}


def with_branches(state: Tensors, head: PeopleHead) -> Tensors:
    """Replace the people branches in the detector's tensors, half precision.

    Their stages become copies of the trunk's.
    """
    kept = {name: tensor for name, tensor in state.items() if not is_branch(name)}
    branches = {f"people.{name}": tensor.half() for name, tensor in head.state_dict().items()}
    return {**kept, **branches, **trunk_copies(state, state)}
