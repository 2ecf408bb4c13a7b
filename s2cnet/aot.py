"""Compile networks ahead of time with AOTInductor, and keep the compiled code on disk.

Compiling takes a C++ compiler and 20 to 60 seconds of one core; loading takes hundredths of a
second. torch calls a compiled file a package (`.pt2`). A package's name holds a hash of everything
that it depends on: weights, structure, source files, torch, machine and accepted shapes. It also
holds a hash of the package's content, which is checked before loading; a damaged package is
compiled again. Processes that need the same package wait for the first one to compile it.

A package is machine code: anyone who can write to the folder can run code as this user. The folder
is created with access for this user only. `S2CNET_CACHE` names another folder.
"""

import fcntl
import hashlib
import inspect
import os
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from cuda_ops.compile import CannotCompileError, cpp_compiler

__all__ = [
    "CannotCompileError",
    "CompiledModule",
    "DynamicDim",
    "cache_folder",
    "load_or_compile",
    "package_key",
]


class DynamicDim(NamedTuple):
    """The lengths that one dimension of an input may have: `least` to `most` multiples."""

    name: str
    multiple: int
    least: int
    most: int

    def allows(self, length: int) -> bool:
        """Return whether the dimension may have this length."""
        count, rest = divmod(length, self.multiple)
        return rest == 0 and self.least <= count <= self.most

    def for_export(self) -> Any:
        """Return the dimension as torch.export expects it."""
        return self.multiple * torch.export.Dim(self.name, min=self.least, max=self.most)


DynamicDims = dict[int, DynamicDim]  # of one input, by dimension


def cache_folder() -> Path:
    """Return the folder where packages are kept: $S2CNET_CACHE, else the user's cache folder.

    Raises CannotCompileError for a user without a home.
    """
    if named := os.environ.get("S2CNET_CACHE"):
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "s2cnet"
    except RuntimeError as error:  # a user id without an account, as in containers
        raise CannotCompileError(
            "this user has no home folder for compiled code; name a folder in S2CNET_CACHE"
        ) from error


class CompiledModule:
    """A module as compiled code, for inference.

    Compiled code assumes the memory layout of the example input and checks nothing, so this class
    converts the layout and checks the shape.
    """

    def __init__(self, code: Callable[[Tensor], Any], example: Tensor, dims: DynamicDims) -> None:
        self._code = code
        self._example = example
        self._dims = dims

    def accepts(self, x: Tensor) -> bool:
        """Return whether the module was compiled for inputs of this shape."""
        if x.dim() != self._example.dim():
            return False
        return all(
            self._dims[i].allows(x.shape[i]) if i in self._dims else x.shape[i] == fixed
            for i, fixed in enumerate(self._example.shape)
        )

    def __call__(self, x: Tensor) -> Any:
        """Run the module. Raises ValueError for a shape that it was not compiled for."""
        if not self.accepts(x):
            dims = list(self._dims.values())
            raise ValueError(
                f"compiled for {list(self._example.shape)} and {dims}, given {list(x.shape)}"
            )
        return self._code(
            x.to(self._example.dtype).contiguous(memory_format=_layout(self._example))
        )


def _layout(x: Tensor) -> torch.memory_format:
    channels_last = x.dim() == 4 and not x.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format


def load_or_compile(
    module: nn.Module, example: Tensor, dims: DynamicDims, folder: Path
) -> CompiledModule:
    """Load the module's package from `folder`, or compile it and keep it there.

    Args:
        module: in evaluation mode, on the device it is to run on; takes one tensor.
        example: an input of the kind it will get, contiguous or channels last.
        dims: which of the input's dimensions may differ from the example; {} fixes them all.
        folder: see `cache_folder`.

    Raises:
        CannotCompileError: no compiler, one that fails, a folder that can't be written to, or no
            folder of temporary files from which code may be run.
    """
    key = package_key(module, example, dims)
    _make_folder(folder)
    try:
        with _file_lock(folder / f"{key}.lock"):
            path = _cached_package(folder, key) or _compile(module, example, dims, folder, key)
    except OSError as error:  # the disk is full, for instance
        raise CannotCompileError(f"{error}; name another folder in S2CNET_CACHE") from error
    return CompiledModule(_loaded(path), example, dims)


def _loaded(path: Path) -> Callable[[Tensor], Any]:
    """Load a package. Raises CannotCompileError if its code cannot be run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about tools that only compiling needs
        try:
            # Without the lock around each call, a package can be captured in a CUDA graph.
            code: Callable[[Tensor], Any] = torch._inductor.aoti_load_package(
                str(path), run_single_threaded=True
            )
        except RuntimeError as error:
            # torch unpacks the code among the temporary files; /tmp may be mounted noexec.
            why = str(error).partition("\n")[0]
            raise CannotCompileError(
                f"compiled code cannot be loaded: {why}; name another folder in TMPDIR, from which "
                "code may be run"
            ) from error
    return code


def package_key(module: nn.Module, example: Tensor, dims: DynamicDims) -> str:
    """Hash everything that determines what a package computes and where it can run."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} {tensor.stride()}".encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    for source in _sources(module):
        digest.update(source.read_bytes())
    shape = f"{example.dtype} {list(example.shape)} {example.stride()} {dims}"
    digest.update(f"{module!r} {shape} {torch.__version__} {_machine(example.device)}".encode())
    return digest.hexdigest()[:32]


def _sources(module: nn.Module) -> list[Path]:
    """List the source files in the folders that define the module and all modules inside it."""
    folders = {Path(inspect.getfile(type(part))).parent for part in module.modules()}
    return sorted(path for folder in folders for path in folder.glob("*.py"))


def _machine(device: torch.device) -> str:
    """Describe what compiled code depends on: code for one CPU may kill a process on another."""
    counts = ("num_logical_cores", "num_physical_cores", "num_sockets")
    known = {k: v for k, v in torch.cpu.get_capabilities().items() if k not in counts}
    gpu = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    return f"{sorted(known.items())} {gpu}"


def _cached_package(folder: Path, key: str) -> Path | None:
    """Return the package of a key if it is whole, and delete damaged ones."""
    for path in folder.glob(f"{key}-*.pt2"):
        if path.stem == f"{key}-{_sha256(path)}":
            return path
        path.unlink(missing_ok=True)
    return None


def _compile(module: nn.Module, example: Tensor, dims: DynamicDims, folder: Path, key: str) -> Path:
    cpp_compiler()
    with tempfile.TemporaryDirectory(dir=folder) as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about its own code
        made = Path(scratch) / "package.pt2"
        try:
            with torch.inference_mode(False), torch.no_grad():
                shapes = {i: dim.for_export() for i, dim in dims.items()}
                program = torch.export.export(module, (example,), dynamic_shapes=(shapes,))
                torch._inductor.aoti_compile_and_package(
                    program, package_path=str(made), inductor_configs={"freezing": True}
                )
        except (RuntimeError, OSError) as error:
            raise CannotCompileError(f"compiling failed: {error}") from error
        return made.rename(folder / f"{key}-{_sha256(made)}.pt2")


def _make_folder(folder: Path) -> None:
    """Create the folder.

    Raises CannotCompileError if it can't be written to, or if somebody else could put code into it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        problem = "can't write to it" if not os.access(folder, os.W_OK) else ""
    except OSError as error:
        found, problem = None, f"can't make it: {error.strerror}"
    if found and found.st_uid != os.geteuid():
        problem = "it belongs to another user"
    elif found and found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = "other users may write to it"
    if problem:
        raise CannotCompileError(f"{folder}: {problem}; name another folder in S2CNET_CACHE")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    """Hold a file lock, which ends with the process even if that is killed."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
