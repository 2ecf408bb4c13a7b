"""Compare a state dict with the one that a network expects: S2CNet, GAIC and the detectors."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor


def layout_faults(
    found: Mapping[str, Any], expected: Mapping[str, Tensor], most: int | None = None
) -> str:
    """Describe what is missing, unexpected, misshapen or of a wrong type in `found`; "" if nothing.

    `most`: how many names of each kind are listed; None lists all.
    """
    shared = [name for name in expected if name in found]
    tensors = [name for name in shared if isinstance(found[name], Tensor)]
    kinds = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "misshapen": [
            f"{name} {list(found[name].shape)} instead of {list(expected[name].shape)}"
            for name in tensors
            if found[name].shape != expected[name].shape
        ],
        "wrong type": [
            f"{name} {_type(found[name])}"
            for name in shared
            if not isinstance(found[name], Tensor)
            or found[name].is_floating_point() != expected[name].is_floating_point()
        ],
    }
    return "; ".join(
        f"{len(names)} {kind}: {_listed(names, most)}" for kind, names in kinds.items() if names
    )


def _type(value: Any) -> str:
    return str(value.dtype) if isinstance(value, Tensor) else type(value).__name__


def _listed(names: Sequence[str], most: int | None) -> str:
    dropped = ", ..." if most is not None and len(names) > most else ""
    return ", ".join(names[:most]) + dropped
