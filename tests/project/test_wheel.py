"""A wheel built from the checkout and installed elsewhere: complete, importable, crops a photo.

The wheel is built only from tracked files. It is installed into a separate environment that has
this one's dependencies, and nothing from this checkout.
"""

import os
import site
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

import pipeline
from tests.support.odd_photos import scene

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cuda_ops", "pipeline", "s2cnet")
COMMANDS = (
    "crop", "demo", "evaluate", "fetch-weights", "fine-tune-starter", "learn-from-people",
    "make-starter", "runs", "train",
)  # fmt: skip

CROP = """
import pipeline, sys
from pipeline import Cropper

assert pipeline.__file__.startswith(sys.prefix), pipeline.__file__
crops = Cropper().crop("photo.jpg", ["16:9", "circle"])
print(*(crop.ratio for crop in crops), pipeline.__version__)
"""

USER_PROGRAM = """
import torch
from pipeline import Crop, Cropper, Photo, Run, decode, open_run
from s2cnet import FastS2CNet, S2CNet, load_model, prepare_image

def first(photo: bytes) -> tuple[float, float, float, float]:
    crops: list[Crop] = Cropper().crop(photo, ["1:1"])
    return crops[0].box_px

def scores(photo: Photo, crops: torch.Tensor, objects: torch.Tensor) -> torch.Tensor:
    network: S2CNet = load_model("starter")
    image, _ = prepare_image(photo.pixels)
    return FastS2CNet(network).score(image[None], crops, [objects])

def wrong(photo: bytes) -> None:
    run: Run = open_run(1)
    Cropper().crop(decode(photo))
"""


def run(command: Sequence[str | Path], folder: Path) -> str:
    """The output of a command that must succeed; nothing in the environment points here."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    clean |= {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked() -> list[str]:
    """Every tracked file of the packages; the test is skipped outside a git checkout."""
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not listed:
        pytest.skip("not a git checkout")
    return listed


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in [*tracked(), "pyproject.toml", "setup.py", "README.md", "LICENSE"]:
        copy = source / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())
    build = ["pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source]
    # No compiler: the kernels are tested elsewhere, and without them the definition runs.
    run(["env", "CXX=none", sys.executable, "-m", *build], folder)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment that has the wheel."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    # A path in a .pth file is searched, but .pth files in there, such as that of an editable
    # installation of this checkout, are not followed.
    packages = run([python, "-c", "import site; print(site.getsitepackages()[0])"], folder).strip()
    Path(packages, "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    run([sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel], folder)
    Image.fromarray(scene(160, 120)).save(folder / "photo.jpg")
    return folder / "bin"


def test_every_tracked_file_of_the_packages_is_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert sorted(set(tracked()) - names) == []
    others = {name.split("/")[0] for name in names} - set(PACKAGES)
    assert others == {f"s2cnet_thumbnails-{pipeline.__version__}.dist-info"}


def test_it_crops_a_photo(installed: Path) -> None:
    told = run([installed / "python", "-c", CROP], installed.parent)
    assert told.split() == ["16:9", "circle", pipeline.__version__]


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_are_installed(installed: Path, command: str) -> None:
    told = run([installed / f"s2cnet-{command}", "--version"], installed.parent)
    assert told == f"s2cnet-{command} {pipeline.__version__}\n"


def test_its_crop_command_plans_a_run(installed: Path) -> None:
    arguments = ["--input", "photo.jpg", "--output", "out", "--dry-run", "--ratios", "1:1"]
    told = run([installed / "s2cnet-crop", *arguments], installed.parent)
    assert "1 photo in 1 task" in told


def test_a_type_checker_knows_its_public_names(installed: Path, tmp_path: Path) -> None:
    """The two wrong arguments are found, and nothing else: no name is missing or untyped."""
    (tmp_path / "program.py").write_text(USER_PROGRAM)
    # torch's own sources take a type checker most of a minute.
    (tmp_path / "settings.ini").write_text("[mypy]\n[mypy-torch.*]\nfollow_imports = skip\n")
    command = ["mypy", "--strict", "--python-executable", installed / "python"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--config-file", "settings.ini", "program.py"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    wanted = ['Argument 1 to "open_run"', 'Argument 1 to "crop" of "Cropper"']
    assert len(errors) == len(wanted), done.stdout + done.stderr
    assert all(what in error for what, error in zip(wanted, errors, strict=True)), errors
