"""Step `tests`: compile the kernels for this machine, then run the tests that need the GPU."""

import subprocess
import sys
from pathlib import Path

from cuda_ops.compile import HERE, compile_all, kernel_file
from tests.gpu_proof.timing import write

ROOT = Path(__file__).parents[2]
WITH_GPU = ["tests/cuda_ops", "tests/s2cnet/fast", "tests/pipeline/cropping/test_transfer.py"]


def run(device: str, photos: Path, document: Path) -> None:
    """Write what was compiled and how the tests ended. Raises SystemExit where one failed."""
    missing = [kind for kind in ("cpu", "cuda") if not (HERE / kernel_file(kind)).exists()]
    compiled = compile_all(HERE) if missing else ["kernels were compiled already"]
    print("\n".join(compiled))
    marked = "gpu" if device == "cuda" else "not gpu and not slow"
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-m", marked, *WITH_GPU], cwd=ROOT, capture_output=True, text=True
    )
    last = done.stdout.strip().splitlines()[-1:]
    print("\n".join(done.stdout.splitlines()[-40:]))
    write(document, "tests", {"kernels": "; ".join(compiled), "outcome": " ".join(last)})
    if done.returncode:
        raise SystemExit(done.returncode)
