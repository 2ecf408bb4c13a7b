"""Run the steps one after another: `python -m tests.gpu_proof [--wheels FOLDER] [--out FOLDER]`.

Needs a Python with torch and a source tree, but no network. `--wheels` is a folder with the
packages that this Python lacks: wheels, which `python -m tests.gpu_proof.wheels FOLDER` downloads
on a machine with a network, and archives (.tar.xz) of unpacked ones.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
STEPS = (
    "machine", "worker", "job", "stages", "arithmetic", "scoring", "tests", "networks",
)  # fmt: skip
BUDGET_S = 480.0
PHOTOS = 40


def main() -> int:
    """Run the proof; returns 1 if a step failed or was cut off."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu_proof", description=__doc__)
    parser.add_argument("--wheels", type=Path, help="folder of what this Python lacks")
    parser.add_argument("--out", type=Path, default=Path("gpu-proof"), help="for JSON and page")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", nargs="*", choices=STEPS, default=STEPS, metavar="STEP")
    parser.add_argument("--budget", type=float, default=BUDGET_S, metavar="SECONDS")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--photos", type=Path, help="folder of photos; default: made")
    options = parser.parse_args()
    if options.step:
        one_step(options.step, options.device, options.photos, options.out / "gpu-proof.json")
        return 0
    return all_steps(options)


def all_steps(options: argparse.Namespace) -> int:
    """Install missing packages, make photos, run the steps within the budget, write the page."""
    begin = time.monotonic()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    document = options.out / "gpu-proof.json"
    document.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        environment = prepare_environment(options.wheels, Path(folder) / "packages")
        photos = options.photos or Path(folder) / "photos"
        if not options.photos:
            made = [sys.executable, "-m", "tests.gpu_proof.uploads", str(photos), str(PHOTOS)]
            subprocess.run(made, cwd=ROOT, env=environment, check=True)
        state: dict[str, str] = {}
        for step in options.only:
            left_s: float = options.budget - (time.monotonic() - begin)
            state[step] = run_step(step, options, photos, environment, left_s)
            print(f"== {step}: {state[step]}", flush=True)
    found = json.loads(document.read_text()) if document.exists() else {}
    found = {"steps": [{"step": step, "outcome": how} for step, how in state.items()], **found}
    document.write_text(json.dumps(found, indent=1))
    page = importlib.import_module("tests.gpu_proof.page").page
    (options.out / "index.html").write_text(page(found))
    print(f"{time.monotonic() - begin:.0f} s; {document}, {options.out / 'index.html'}")
    return int(any(not how.startswith("done") for how in state.values()))


def prepare_environment(wheels: Path | None, target: Path) -> dict[str, str]:
    """Install the brought packages into `target`; returns the environment of the steps."""
    environment = {**os.environ, "PYTHONPATH": f"{target}{os.pathsep}{ROOT}"}
    environment |= {"OPENBLAS_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"}
    target.mkdir(parents=True)
    files = sorted(wheels.iterdir()) if wheels else []
    if found := [str(file) for file in files if file.suffix == ".whl"]:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
        pip += ["--no-compile", "--target", str(target), *found]
        subprocess.run(pip, check=True)
    for file in files:
        if file.name.endswith(".tar.xz"):
            subprocess.run(["tar", "xJf", str(file), "-C", str(target)], check=True)
    return environment


def run_step(
    step: str, options: argparse.Namespace, photos: Path, environment: dict[str, str], left_s: float
) -> str:
    """Run a step in its own process; returns how it ended, in words."""
    start = time.monotonic()
    command = [sys.executable, "-W", "ignore", "-m", "tests.gpu_proof", "--step", step]
    command += ["--device", options.device, "--photos", str(photos), "--out", str(options.out)]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, timeout=max(1.0, left_s))
    except subprocess.TimeoutExpired:
        return f"cut off after {time.monotonic() - start:.0f} s"
    how = "done" if done.returncode == 0 else f"failed with {done.returncode}"
    return f"{how} in {time.monotonic() - start:.0f} s"


def one_step(step: str, device: str, photos: Path, document: Path) -> None:
    """Run one step in this process."""
    importlib.import_module(f"tests.gpu_proof.{step}").run(device, photos, document)


if __name__ == "__main__":
    sys.exit(main())
