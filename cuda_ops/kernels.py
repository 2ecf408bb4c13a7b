"""Load the compiled kernels that `cuda_ops.compile` produced."""

import warnings

import torch

from cuda_ops.compile import HERE, kernel_file


def load() -> list[str]:
    """Register the compiled kernels with torch; return which were found: "cpu", "cuda".

    On the device of a registered kernel, the kernel runs instead of the definition. For a file that
    cannot be loaded there is a warning, and the definition runs.
    """
    loaded = []
    for kind, usable in (("cpu", True), ("cuda", torch.version.cuda is not None)):
        path = HERE / kernel_file(kind)
        if usable and path.is_file():
            try:
                torch.ops.load_library(str(path))  # type: ignore[no-untyped-call]
                loaded.append(kind)
            except OSError as error:
                warnings.warn(
                    f"{path} cannot be loaded ({error.__cause__ or error}); plain PyTorch instead. "
                    "`python -m cuda_ops` rebuilds it.",
                    RuntimeWarning,
                    stacklevel=2,
                )
    return loaded
