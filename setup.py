"""Compile the operators' kernels during installation, where that is possible.

pyproject.toml has everything else.
"""

import importlib.util
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = Path(__file__).parent


class CompileKernels(build_ext):
    """Run cuda_ops/compile.py, loaded by its path: the package itself would import torch."""

    def run(self) -> None:
        spec = importlib.util.spec_from_file_location("compile", HERE / "cuda_ops/compile.py")
        compiler = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(compiler)
        in_place = self.inplace or self.editable_mode
        folder = HERE / "cuda_ops" if in_place else Path(self.build_lib) / "cuda_ops"
        print("\n".join(compiler.compile_all(folder)))

    def get_outputs(self) -> list[str]:
        return []

    def get_output_mapping(self) -> dict[str, str]:
        return {}


setup(
    cmdclass={"build_ext": CompileKernels},
    ext_modules=[Extension("cuda_ops._kernels", sources=[])],  # so that build_ext runs
)
