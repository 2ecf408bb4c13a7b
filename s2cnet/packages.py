"""Networks compiled ahead of time (AOTInductor) and kept on disk, so that a worker starts quickly.

Compiling takes a C++ compiler and 20 to 60 seconds of a core, loading a package hundredths. A
package's name is a hash of everything it was made of: weights, structure, sources, torch, machine
and the shapes it takes. One file is written once, whole, and checked by its own hash before it is
loaded; a damaged one is made anew. Processes that want the same package wait for the first one.

A package is machine code: whoever can write to the folder can run code as this user. It is created
for this user alone; `S2CNET_CACHE` names another one.
"""

import fcntl
import hashlib
import inspect
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Side(NamedTuple):
    """Which lengths one dimension of an input may have; the others are fixed."""

    name: str
    multiple: int
    least: int  # in multiples
    most: int

    def allows(self, length: int) -> bool:
        count, rest = divmod(length, self.multiple)
        return rest == 0 and self.least <= count <= self.most

    def dim(self) -> Any:
        """As torch.export has it."""
        return self.multiple * torch.export.Dim(self.name, min=self.least, max=self.most)


Sides = dict[int, Side]  # of one input, by dimension


class CannotCompileError(Exception):
    """A network cannot be compiled here; the message says what is missing."""


def cache_folder() -> Path:
    """Where packages are kept: $S2CNET_CACHE, else the user's cache folder."""
    if named := os.environ.get("S2CNET_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "s2cnet"


class Package:
    """A module as compiled code, for inference.

    Compiled code reads memory as its example lay there and checks nothing, so that is done here.
    """

    def __init__(self, code: Callable[[Tensor], Any], example: Tensor, sides: Sides) -> None:
        self._code = code
        self._example = example
        self._sides = sides

    def takes(self, x: Tensor) -> bool:
        """Whether the package was compiled for inputs of this shape."""
        if x.dim() != self._example.dim():
            return False
        return all(
            self._sides[i].allows(x.shape[i]) if i in self._sides else x.shape[i] == fixed
            for i, fixed in enumerate(self._example.shape)
        )

    def __call__(self, x: Tensor) -> Any:
        """What the module gives. Raises ValueError for a shape that it does not take."""
        if not self.takes(x):
            given = list(self._sides.values())
            raise ValueError(
                f"compiled for {list(self._example.shape)} and {given}, given {list(x.shape)}"
            )
        return self._code(
            x.to(self._example.dtype).contiguous(memory_format=_layout(self._example))
        )


def _layout(x: Tensor) -> torch.memory_format:
    channels_last = x.dim() == 4 and not x.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format


def compiled(module: nn.Module, example: Tensor, sides: Sides, folder: Path) -> Package:
    """The module as compiled code, from `folder` where it is there already.

    Args:
        module: in evaluation mode, on the device it is to run on; takes one tensor.
        example: an input of the kind it will get, contiguous or channels last.
        sides: which of its dimensions may differ; {} fixes them all.
        folder: see `cache_folder`.

    Raises:
        CannotCompileError: no compiler, one that fails, or a folder that can't be written to.
    """
    key = package_key(module, example, sides)
    _make_folder(folder)
    with _one_at_a_time(folder / f"{key}.lock"):
        path = _kept(folder, key) or _make(module, example, sides, folder, key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about tools that running needs not
        # Without its lock around a call, a package can be part of a CUDA graph.
        code = torch._inductor.aoti_load_package(str(path), run_single_threaded=True)
    return Package(code, example, sides)


def package_key(module: nn.Module, example: Tensor, sides: Sides) -> str:
    """Hash of everything that decides what a package computes and where it runs."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} {tensor.stride()}".encode())
        digest.update(tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    for source in sorted(Path(inspect.getfile(type(module))).parent.glob("*.py")):
        digest.update(source.read_bytes())
    shape = f"{example.dtype} {list(example.shape)} {example.stride()} {sides}"
    digest.update(f"{module!r} {shape} {torch.__version__} {_machine(example.device)}".encode())
    return digest.hexdigest()[:32]


def _machine(device: torch.device) -> str:
    """What compiled code depends on: a package of one CPU may kill a process on another."""
    counts = ("num_logical_cores", "num_physical_cores", "num_sockets")
    known = {k: v for k, v in torch.cpu.get_capabilities().items() if k not in counts}
    gpu = torch.cuda.get_device_capability(device) if device.type == "cuda" else None
    return f"{sorted(known.items())} {gpu}"


def _kept(folder: Path, key: str) -> Path | None:
    """The package of a key, if it is whole; damaged ones are removed."""
    for path in folder.glob(f"{key}-*.pt2"):
        if path.stem == f"{key}-{_sha256(path)}":
            return path
        path.unlink(missing_ok=True)
    return None


def _make(module: nn.Module, example: Tensor, sides: Sides, folder: Path, key: str) -> Path:
    _check_compiler()
    with tempfile.TemporaryDirectory(dir=folder) as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about itself
        made = Path(scratch) / "package.pt2"
        try:
            with torch.inference_mode(False), torch.no_grad():
                shapes = {i: side.dim() for i, side in sides.items()}
                program = torch.export.export(module, (example,), dynamic_shapes=(shapes,))
                torch._inductor.aoti_compile_and_package(
                    program, package_path=str(made), inductor_configs={"freezing": True}
                )
        except (RuntimeError, OSError) as error:
            raise CannotCompileError(f"compiling failed: {error}") from error
        return made.rename(folder / f"{key}-{_sha256(made)}.pt2")


def _make_folder(folder: Path) -> None:
    """Raises CannotCompileError where nothing can be kept there."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise CannotCompileError(f"can't write to {folder}; name another folder in S2CNET_CACHE")


def _check_compiler() -> None:
    names = [os.environ["CXX"]] if "CXX" in os.environ else ["c++", "g++", "clang++"]
    if not any(map(shutil.which, names)):
        raise CannotCompileError("no C++ compiler; install g++ or clang++, or set CXX")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Holds a lock that ends with the process, whatever becomes of it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
