"""Loading the compiled kernels, where `cuda_ops.compile` has left some."""

import warnings

import torch

from cuda_ops.compile import HERE, kernel_file


def load() -> list[str]:
    """Register the compiled kernels with torch; which ones there were: "cpu", "cuda".

    A kernel registered for a device is used there instead of the definition. One that exists but
    cannot be loaded is a warning, and the definition stays in place.
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
                    "`python -m cuda_ops` makes it anew.",
                    RuntimeWarning,
                    stacklevel=2,
                )
    return loaded
