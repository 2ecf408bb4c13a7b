"""Compile the operators' kernels for this machine; the command is `python -m cuda_ops`.

The CPU kernel needs a C++20 compiler, the CUDA kernel nvcc as well. Both are optional: without them
the operators run as plain PyTorch, and the command says what is missing. setup.py compiles too, but
that succeeds only if torch is already installed.

The kernels use PyTorch's stable ABI of version 2.11: one file works with that version and every
later one, with any Python. This file imports only the standard library, because setup.py loads it.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = HERE / "csrc"
STABLE_ABI = "-DTORCH_TARGET_VERSION=0x020b000000000000"  # 2.11
# A contracted multiply-add rounds once instead of twice: a point on an edge would change sides.
CPU_FLAGS = ["-O3", "-std=c++20", "-fPIC", "-shared", "-ffp-contract=off", STABLE_ABI]
CUDA_FLAGS = ["-O3", "-std=c++20", "--fmad=false", "-shared", "-DUSE_CUDA", STABLE_ABI]
CUDA_FLAGS += ["-Xcompiler", "-fPIC", "-Xcompiler", "-ffp-contract=off"]
# T4, A100, A40 and RTX 30, L40 and RTX 40, H100, B200, RTX 50 and RTX PRO; later ones from PTX.
ARCHITECTURES = ("75", "80", "86", "89", "90", "100", "120")


class CannotCompileError(Exception):
    """Something cannot be compiled on this machine; the message says what is missing."""


def kernel_file(kind: str) -> str:
    """Return the file name of the kernel "cpu" or "cuda", which holds a hash of the sources."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return f"_{kind}_{digest.hexdigest()[:12]}.so"


def compile_all(folder: Path) -> list[str]:
    """Compile into `folder` what can be compiled; return one line about each kernel."""
    lines = []
    for kind, command in (("cpu", cpu_command), ("cuda", cuda_command)):
        try:
            lines.append(f"compiled {compile_kernel(kind, command, folder)}")
        except CannotCompileError as error:
            lines.append(f"no compiled {kind} kernel, plain PyTorch instead: {error}")
    return lines


def compile_kernel(kind: str, command: Callable[[Path, Path], list[str]], folder: Path) -> Path:
    """Compile one kernel into `folder`; a failure changes nothing. Raises CannotCompileError."""
    arguments = command(torch_folder(), SOURCES)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / "kernel.so"
            _run([*arguments, "-o", str(made)])
            kernel = made.replace(folder / kernel_file(kind))
    except OSError as error:
        raise CannotCompileError(
            f"{error}; run `python -m cuda_ops` as a user who may write to {folder}"
        ) from error
    for old in set(folder.glob(f"_{kind}_*.so")) - {kernel}:
        old.unlink(missing_ok=True)  # the new one is in place: a kill leaves an extra one, not none
    return kernel


def _run(arguments: list[str]) -> None:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotCompileError(f"{arguments[0]} failed:\n{done.stderr[-2000:]}")


def torch_folder() -> Path:
    """Return the folder of the installed torch, also in pip's isolated build, which hides it."""
    spec = importlib.util.find_spec("torch")
    found = Path(spec.origin).parent if spec and spec.origin else None
    folder = found or Path(sysconfig.get_path("purelib")) / "torch"
    if not (folder / "include/torch/csrc/stable/library.h").is_file():
        raise CannotCompileError(
            "torch 2.11 or newer is not installed yet; run `python -m cuda_ops` once it is"
        )
    return folder


def cpp_compiler() -> str:
    """Return the C++ compiler: $CXX, else the first one found. Raises CannotCompileError."""
    compiler = os.environ.get("CXX") or next(filter(shutil.which, ["c++", "g++", "clang++"]), None)
    if compiler is None or shutil.which(compiler) is None:
        raise CannotCompileError("no C++ compiler; install g++ or clang++, or set CXX")
    return compiler


def cpu_command(torch: Path, sources: Path) -> list[str]:
    """Return the compiler's command line without its output. Raises CannotCompileError."""
    compiler = cpp_compiler()
    libraries = ["-ltorch", "-ltorch_cpu", "-lc10"]
    source = str(sources / "align_cpu.cpp")
    return [compiler, *CPU_FLAGS, f"-I{torch}/include", source, f"-L{torch}/lib", *libraries]


def cuda_command(torch: Path, sources: Path) -> list[str]:
    """Return nvcc's command line without its output. Raises CannotCompileError."""
    cpp_compiler()  # nvcc needs one
    if not (torch / "lib/libtorch_cuda.so").is_file():
        raise CannotCompileError("this torch was built without CUDA")
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path=f"{home}/bin")
    if nvcc is None:
        raise CannotCompileError("no nvcc; install the CUDA toolkit, or set CUDA_HOME")
    listed = subprocess.run([nvcc, "--list-gpu-code"], capture_output=True, text=True, check=False)
    known = [number for number in ARCHITECTURES if f"sm_{number}" in listed.stdout.split()]
    if not known:
        raise CannotCompileError(f"{nvcc} knows none of the architectures {ARCHITECTURES}")
    targets = [f"-gencode=arch=compute_{n},code=sm_{n}" for n in known]
    targets.append(f"-gencode=arch=compute_{known[-1]},code=compute_{known[-1]}")
    # pip's packages have headers that a toolkit may lack. Searched first, they would clash.
    spare = f"-idirafter,{torch.parent}/nvidia/cu13/include"
    libraries = ["-ltorch", "-ltorch_cpu", "-ltorch_cuda", "-lc10"]
    source = str(sources / "align_cuda.cu")
    flags = [*CUDA_FLAGS, *targets, f"-I{torch}/include", "-Xcompiler", spare]
    return [nvcc, *flags, source, f"-L{torch}/lib", *libraries]
