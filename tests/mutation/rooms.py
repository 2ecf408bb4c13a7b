"""The modules that are mutated, and the tests that have to notice."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Room:
    """Modules and the tests that mirror them, both as patterns from the root of the project."""

    name: str
    modules: Sequence[str]
    tests: Sequence[str]

    def sources(self, root: Path = ROOT) -> list[Path]:
        """Return its modules that contain code."""
        return _files(root, self.modules)

    def test_files(self, root: Path = ROOT) -> list[Path]:
        """Return its test files."""
        return _files(root, self.tests)


def _files(root: Path, patterns: Sequence[str]) -> list[Path]:
    found = {path for pattern in patterns for path in root.glob(pattern)}
    return sorted(path for path in found if path.name != "__init__.py")


# Cropping's parts that need no network.
PURE = (
    "candidates", "choose", "chosen", "confidence", "crop_value", "derive", "ends", "evidence",
    "extents", "features", "framed", "guards", "kind_policy", "maps", "override_boxes",
    "overrides", "parts", "penalties", "protected", "refine", "results", "rule", "sights",
    "values", "visible",
)  # fmt: skip
ROOMS = {
    room.name: room
    for room in (
        Room("ledger", ["pipeline/ledger/**/*.py"], ["tests/pipeline/ledger/**/test_*.py"]),
        Room("inputs", ["pipeline/inputs/*.py"], ["tests/pipeline/inputs/test_*.py"]),
        Room("photo", ["pipeline/photo/**/*.py"], ["tests/pipeline/photo/**/test_*.py"]),
        Room("storage", ["pipeline/storage/*.py"], ["tests/pipeline/storage/test_*.py"]),
        Room(
            "cropping",
            [f"pipeline/cropping/{name}.py" for name in PURE],
            ["tests/pipeline/cropping/test_*.py"],
        ),
        Room(
            "settings",
            ["pipeline/settings/*.py", "pipeline/crop_names.py", "pipeline/shapes.py",
             "pipeline/boxes.py", "pipeline/gate.py", "pipeline/options.py",
             "pipeline/command_line.py", "pipeline/shown_options.py",
             "pipeline/standard_output.py"],
            [f"tests/pipeline/test_{name}.py"
             for name in ("settings", "setting_defaults", "setting_texts", "chosen_format",
                          "shapes", "boxes", "gate", "command_line", "standard_output", "job")]
            + ["tests/pipeline/settings/test_*.py",
               "tests/pipeline/ledger/promotion/test_crop_files.py"],
        ),
        Room("export", ["pipeline/export/*.py"], ["tests/pipeline/export/test_*.py"]),
        Room("s2cnet", ["s2cnet/inputs.py"], ["tests/s2cnet/test_inputs.py"]),
        Room(
            "evaluation",
            ["pipeline/lab/evaluation/*.py", "pipeline/lab/datasets/*.py"],
            ["tests/pipeline/lab/evaluation/test_*.py", "tests/pipeline/lab/datasets/test_*.py",
             "tests/jobs/test_evaluate.py"],
        ),
    )
}  # fmt: skip
