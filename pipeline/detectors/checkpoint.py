"""Read a detector's weights file: any fsspec URI, tensors only, hashed."""

import hashlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pipeline.errors import UsageError
from s2cnet.checkpoints.faults import layout_faults
from s2cnet.checkpoints.files import WeightsError, parse_file, plain_tensors, read_weights

LARGEST_BYTES = 1 << 30  # torchvision's largest detector has 180 MB, Visual Genome's 240


def read_checkpoint(
    uri: str, how_to_get_it: str, entry: str | None = None
) -> tuple[dict[str, Tensor], str]:
    """Load a weights file: its tensors by name (on the CPU) and the file's sha256.

    Only tensors and plain containers are unpickled: a checkpoint from the internet can't run code.
    entry: the key of the tensors in the file's mapping; None if the file is the mapping of tensors.

    Raises UsageError, ending in `how_to_get_it`, if the file is missing or isn't such a file.
    """
    try:
        data = read_weights(uri, LARGEST_BYTES)
        content = parse_file(data, LARGEST_BYTES)
        if entry is not None:
            if not isinstance(content, Mapping) or entry not in content:
                raise WeightsError(f"there is no entry `{entry}`, as the published file has")
            content = content[entry]
        return plain_tensors(content, LARGEST_BYTES), hashlib.sha256(data).hexdigest()
    except WeightsError as error:
        raise UsageError(f"can't use the weights {uri}: {error}. {how_to_get_it}") from error


def check_layout(mapping: Mapping[str, Any], expected: Mapping[str, Tensor], where: str) -> None:
    """Raise a UsageError that names what is missing, unexpected or misshapen in a state dict."""
    faults = layout_faults(mapping, expected, most=3)
    if faults:
        raise UsageError(f"{where} has another layout: {faults}")
