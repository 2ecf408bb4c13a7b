"""Compiled networks on disk: made once, found again, never used if damaged or wrong."""

import copy
import importlib
import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from torch import Tensor, nn

from s2cnet import aot
from s2cnet.aot import (
    CannotCompileError,
    CompiledModule,
    DynamicDim,
    cache_folder,
    load_or_compile,
    package_key,
)

NEEDS_COMPILER = pytest.mark.skipif(
    not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler"
)


class Affine(nn.Module):
    """One step of a network, small enough to compile in a test."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.linear(x))


EXAMPLE = torch.ones(4, 3)
DIMS = {0: DynamicDim("rows", 1, 2, 64)}


@NEEDS_COMPILER
@pytest.mark.usefixtures("_compiler")
def test_a_package_is_made_once_and_a_damaged_one_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, folder = Affine(), tmp_path / "cache"
    x = torch.randn(9, 3)
    expected = module(x).detach()
    torch.testing.assert_close(load_or_compile(module, EXAMPLE, DIMS, folder)(x), expected)
    (kept,) = folder.glob("*.pt2")
    assert folder.stat().st_mode & 0o077 == 0
    whole = kept.read_bytes()

    with monkeypatch.context() as context:
        context.setattr(aot, "_compile", None)  # found, not made
        torch.testing.assert_close(load_or_compile(module, EXAMPLE, DIMS, folder)(x), expected)

    kept.write_bytes(whole[:-50])
    found = load_or_compile(module, EXAMPLE, DIMS, folder)
    torch.testing.assert_close(found(x), expected)
    (again,) = folder.glob("*.pt2")
    assert again.stem.endswith(aot._sha256(again))
    assert {path.suffix for path in folder.iterdir()} == {".pt2", ".lock"}


def test_the_key_is_of_everything_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    module = Affine()
    key = package_key(module, EXAMPLE, DIMS)
    assert package_key(copy.deepcopy(module), EXAMPLE, DIMS) == key
    assert package_key(module, EXAMPLE, {}) != key
    assert package_key(module, EXAMPLE.double(), DIMS) != key
    with torch.no_grad():
        module.linear.weight[0, 0] += 1
    other = package_key(module, EXAMPLE, DIMS)
    assert other != key
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert package_key(module, EXAMPLE, DIMS) != other
    monkeypatch.setattr(torch, "__version__", "9.9")
    assert package_key(module, EXAMPLE, DIMS) != other


def test_the_key_covers_the_sources_of_inner_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "inner_of_a_compiled_module.py"
    source.write_text("from torch import nn\n\n\nclass Inner(nn.Identity):\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = nn.Sequential(importlib.import_module(source.stem).Inner())
    key = package_key(module, EXAMPLE, DIMS)
    assert package_key(module, EXAMPLE, DIMS) == key
    source.write_text(source.read_text() + "# changed\n")
    assert package_key(module, EXAMPLE, DIMS) != key


def test_without_a_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CannotCompileError, match="no C\\+\\+ compiler; install g\\+\\+"):
        load_or_compile(Affine(), EXAMPLE, DIMS, tmp_path)
    assert not list(tmp_path.glob("*.pt2"))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CannotCompileError, match="name another folder in S2CNET_CACHE"):
        load_or_compile(Affine(), EXAMPLE, DIMS, tmp_path / "file/cache")


def test_a_lock_that_cannot_be_written(tmp_path: Path) -> None:
    """As on a full disk, which also root notices."""
    module = Affine()
    (tmp_path / f"{package_key(module, EXAMPLE, DIMS)}.lock").mkdir()
    with pytest.raises(CannotCompileError, match=r"Is a directory.*another folder in S2CNET_CACHE"):
        load_or_compile(module, EXAMPLE, DIMS, tmp_path)


@NEEDS_COMPILER
@pytest.mark.slow
def test_a_folder_of_temporary_files_that_takes_no_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch unpacks compiled code there, so one that is mounted noexec fails in the same place."""
    module = Affine()
    load_or_compile(module, EXAMPLE, DIMS, tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    with pytest.raises(CannotCompileError, match=r"cannot be loaded: .*another folder in TMPDIR"):
        load_or_compile(module, EXAMPLE, DIMS, tmp_path)


@NEEDS_COMPILER
@pytest.mark.usefixtures("_compiler")
def test_code_that_cannot_be_loaded_is_told_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        """Raise as torch 2.15 does where /tmp is mounted noexec."""
        raise RuntimeError("Error in dlopen: /tmp/a.so: failed to map segment\nException raised")

    monkeypatch.setattr(torch._inductor, "aoti_load_package", refuse)
    with pytest.raises(CannotCompileError) as raised:
        load_or_compile(Affine(), EXAMPLE, DIMS, tmp_path)
    assert str(raised.value) == (
        "compiled code cannot be loaded: Error in dlopen: /tmp/a.so: failed to map segment; "
        "name another folder in TMPDIR, from which code may be run"
    )


def test_a_folder_that_others_could_put_code_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aot._make_folder(tmp_path / "own")
    (tmp_path / "own").chmod(0o775)
    with pytest.raises(CannotCompileError, match="other users may write to it; name another"):
        aot._make_folder(tmp_path / "own")
    (tmp_path / "own").chmod(0o755)
    aot._make_folder(tmp_path / "own")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(CannotCompileError, match="belongs to another user"):
        aot._make_folder(tmp_path / "own")


@NEEDS_COMPILER
@pytest.mark.usefixtures("_compiler")
def test_inputs_are_laid_out_and_checked(tmp_path: Path) -> None:
    """Compiled code reads memory as it lay in the example, without a look at the strides."""
    module = nn.Conv2d(3, 2, 3)
    example = torch.ones(1, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    found = load_or_compile(module, example, {}, tmp_path)
    x = torch.randn(1, 3, 8, 8)
    for same in (x, x.contiguous(memory_format=torch.channels_last), x.mT.contiguous().mT):
        torch.testing.assert_close(found(same), module(x).detach())
    with pytest.raises(ValueError, match=r"compiled for \[1, 3, 8, 8\] .* given \[1, 3, 8, 9\]"):
        found(torch.ones(1, 3, 8, 9))


@pytest.mark.parametrize(
    ("shape", "taken"),
    [((1, 64), True), ((1, 96), True), ((1, 32), False), ((1, 128), False), ((1, 65), False),
     ((2, 64), False), ((1, 64, 1), False)],
)  # fmt: skip
def test_which_shapes_a_compiled_module_takes(shape: tuple[int, ...], taken: bool) -> None:
    module = CompiledModule(torch.neg, torch.ones(1, 64), {1: DynamicDim("columns", 32, 2, 3)})
    assert module.accepts(torch.ones(shape)) is taken


@NEEDS_COMPILER
def test_a_compiler_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no space")

    monkeypatch.setattr(torch._inductor, "aoti_compile_and_package", fail)
    with pytest.raises(CannotCompileError, match="no space"):
        load_or_compile(Affine(), EXAMPLE, DIMS, tmp_path)
    assert not list(tmp_path.glob("*.pt2"))


def test_where_compiled_code_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.delenv("S2CNET_CACHE", raising=False)
    assert cache_folder() == Path("/x/s2cnet")
    monkeypatch.setenv("S2CNET_CACHE", "/y")
    assert cache_folder() == Path("/y")


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under a number without an account."""
    for name in ("S2CNET_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(number: int) -> NoReturn:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(CannotCompileError, match="name a folder in S2CNET_CACHE"):
        cache_folder()
