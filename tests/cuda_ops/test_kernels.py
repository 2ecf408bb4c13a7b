"""The compiled kernels against the definition, and what happens if they cannot be compiled."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cuda_ops import compile as compiler
from cuda_ops import kernels, operators, reference
from tests.cuda_ops.test_operators import SCALE, draw

ROOT = Path(__file__).parents[2]
NAMES = pytest.mark.parametrize("name", ["roi_align", "rod_align"])
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
NEEDS_CPU_KERNEL = pytest.mark.skipif(
    "cpu" not in operators.COMPILED, reason="no compiled kernel here: python -m cuda_ops"
)
DEVICES = [
    pytest.param("cpu", marks=NEEDS_CPU_KERNEL),
    pytest.param("cuda", marks=pytest.mark.gpu),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(1, 1, 2, 2), (2, 3, 5, 7), (3, 8, 16, 23), (1, 33, 9, 31)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@NAMES
def test_kernel_is_the_definition(
    name: str, dtype: torch.dtype, size: tuple[int, int, int, int], device: str
) -> None:
    """Forward to the last bit but for the order of the sums; backward within their rounding."""
    features, rois = (tensor.to(device) for tensor in draw(size, count=40, dtype=dtype))
    channels_last = features.to(memory_format=torch.channels_last)
    close = {"atol": 4 * torch.finfo(dtype).eps, "rtol": 4 * torch.finfo(dtype).eps}
    for align_size in (1, 4, 9):
        expected = getattr(reference, name)(features, rois, align_size, SCALE)
        for same in (features, channels_last):
            found = getattr(torch.ops.s2cnet, name)(same, rois, align_size, SCALE)
            torch.testing.assert_close(found, expected, **close)
        grad = torch.randn_like(expected)
        arguments = (grad, rois, list(size), align_size, SCALE)
        expected = getattr(reference, f"{name}_backward")(*arguments)
        found = getattr(torch.ops.s2cnet, f"{name}_backward")(*arguments)
        # A cell is a sum of up to 40 * 100 values. CUDA adds them by atomics, in any order, on both
        # sides: the difference is a few roundings of the largest sums.
        largest = float(expected.abs().max()) if device == "cuda" else 1.0
        atol = 40 * close["atol"] * max(1.0, largest)
        torch.testing.assert_close(found, expected, atol=atol, rtol=close["rtol"])


@pytest.mark.parametrize("device", DEVICES)
@NAMES
def test_kernel_on_points_exactly_on_edges(name: str, device: str) -> None:
    """Boxes of whole cells put grid points on edges, where one rounding more changes sides."""
    edges = torch.arange(-2.0, 20, device=device) * 16
    y, x = torch.meshgrid(edges, edges, indexing="ij")
    rois = torch.stack([0 * x, x, y, x + 48, y + 80], dim=-1).view(-1, 5)
    features = torch.randn(1, 3, 16, 18, device=device)
    for align_size in (1, 3, 4, 9, 15):
        expected = getattr(reference, name)(features, rois, align_size, SCALE)
        found = getattr(torch.ops.s2cnet, name)(features, rois, align_size, SCALE)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@NAMES
def test_kernel_is_registered_well(name: str, device: str) -> None:
    features, rois = (tensor.to(device) for tensor in draw((2, 3, 5, 6)))
    grad = torch.randn(7, 3, 3, 3, device=device)
    torch.library.opcheck(getattr(torch.ops.s2cnet, name).default, (features, rois, 3, SCALE))
    torch.library.opcheck(
        getattr(torch.ops.s2cnet, f"{name}_backward").default, (grad, rois, [2, 3, 5, 6], 3, SCALE)
    )
    empty = getattr(torch.ops.s2cnet, name)(features, rois[:0], 3, SCALE)
    assert empty.shape == (0, 3, 3, 3)


@pytest.mark.gpu
@NAMES
def test_cuda_kernel_marks_an_image_that_is_not_there(name: str) -> None:
    assert "cuda" in operators.COMPILED
    rois = torch.tensor([[5.0, 0, 0, 9, 9], [0.0, 0, 0, 9, 9]], device="cuda")
    found = getattr(torch.ops.s2cnet, name)(torch.ones(2, 3, 8, 8, device="cuda"), rois, 3, SCALE)
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    lines = compiler.compile_all(tmp_path)
    assert len(lines) == 2
    assert all("no C++ compiler; install g++" in line for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_torch_that_is_not_installed_yet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(compiler.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(compiler.CannotCompileError, match="run `python -m cuda_ops` once it is"):
        compiler.torch_folder()


def test_cuda_needs_its_toolkit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    monkeypatch.setattr(
        compiler.shutil, "which", lambda name, path=None: name if name != "nvcc" else None
    )
    with pytest.raises(compiler.CannotCompileError, match="built without CUDA"):
        compiler.cuda_command(tmp_path, compiler.SOURCES)
    (tmp_path / "lib/libtorch_cuda.so").touch()
    with pytest.raises(compiler.CannotCompileError, match="no nvcc; install the CUDA toolkit"):
        compiler.cuda_command(tmp_path, compiler.SOURCES)


def test_a_failing_compiler_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(compiler.CannotCompileError, match="false failed"):
        compiler.compile_kernel("cpu", compiler.cpu_command, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(compiler.CannotCompileError, match=r"as a user who may write to .*/file$"):
        compiler.compile_kernel("cpu", copies, tmp_path / "file")


def test_the_old_kernel_stays_until_the_new_one_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "_cpu_000000000000.so").touch()
    (tmp_path / "_cuda_000000000000.so").touch()
    there = []

    def killed(path: Path, **_: object) -> None:
        there.extend(sorted(each.name for each in tmp_path.iterdir()))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            compiler.compile_kernel("cpu", copies, tmp_path)
    assert compiler.kernel_file("cpu") in there
    compiler.compile_kernel("cpu", copies, tmp_path)
    left = {each.name for each in tmp_path.iterdir()}
    assert left == {compiler.kernel_file("cpu"), "_cuda_000000000000.so"}


def copies(torch: Path, sources: Path) -> list[str]:
    """A compiler that copies its source."""
    return ["sh", "-c", 'cp "$1" "$3"', "sh", str(sources / "align_cpu.cpp")]


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_compiles_and_replaces_an_older_kernel(tmp_path: Path) -> None:
    (tmp_path / "_cpu_000000000000.so").touch()
    made = compiler.compile_kernel("cpu", compiler.cpu_command, tmp_path)
    assert list(tmp_path.iterdir()) == [made]
    assert made.name == compiler.kernel_file("cpu")
    assert loaded_from(tmp_path) == "['cpu']\n"


def loaded_from(folder: Path) -> str:
    """What a fresh process prints that loads the kernels of a folder."""
    code = f"from cuda_ops import kernels as k; k.HERE = k.HERE.__class__({str(folder)!r}); "
    done = subprocess.run(
        [sys.executable, "-c", code + "print(k.load())"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout or done.stderr


def cuda_is_missing() -> str:
    """What compiling the CUDA kernel lacks here; nothing where it can be."""
    try:
        compiler.cuda_command(compiler.torch_folder(), compiler.SOURCES)
    except compiler.CannotCompileError as error:
        return str(error)
    return ""


@pytest.mark.slow
@pytest.mark.skipif(bool(cuda_is_missing()), reason=cuda_is_missing())
def test_cuda_kernel_compiles_and_links(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For one architecture, to save minutes. Loading finds every symbol; it needs no GPU."""
    monkeypatch.setattr(compiler, "ARCHITECTURES", ("90",))
    compiler.compile_kernel("cuda", compiler.cuda_command, tmp_path)
    assert loaded_from(tmp_path) == "['cuda']\n"


def test_a_kernel_that_cannot_be_loaded_is_a_warning(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / compiler.kernel_file("cpu")).write_bytes(b"no library")
    monkeypatch.setattr(kernels, "HERE", tmp_path)
    with pytest.warns(RuntimeWarning, match=r"cannot be loaded .* plain PyTorch instead"):
        assert kernels.load() == []
