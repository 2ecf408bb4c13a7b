"""Fetch the published S2CNet checkpoints; convert them to safetensors files named by their hash.

    python jobs/fetch_weights.py gaicv1 gaicv2 --output weights/
    python jobs/fetch_weights.py gaicv1 --file downloaded.pth --output weights/

The authors publish them on Google Drive without a licence: use them only where you may.
Exit codes: 0 all are written; 1 a download failed, or is no S2CNet; 2 wrong usage, or --file is
no S2CNet.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.command_line import FAILED, run
from pipeline.errors import SettingError
from pipeline.options import option
from pipeline.output_files import make_folder


@dataclass(frozen=True, kw_only=True)
class Checkpoints:
    """Which checkpoints are fetched, and where they go."""

    presets: tuple[Literal["gaicv1", "gaicv2"], ...] = option(
        help="checkpoints to fetch", positional=True
    )
    output: Path = option(Path("weights"), "folder to write to", placeholder="FOLDER")
    file: Path | None = option(
        None, "a .pth downloaded by hand, to convert without fetching", placeholder="PTH"
    )

    def __post_init__(self) -> None:
        if self.file and len(self.presets) != 1:
            raise SettingError("file", "holds one checkpoint: name one preset")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run(Checkpoints, __doc__, fetch_all, arguments)


def fetch_all(wanted: Checkpoints) -> int:
    """Fetch and convert one checkpoint after another, up to the first that fails.

    Raises SettingError for a file that is no such checkpoint, or a folder that cannot be written.
    """
    from pipeline.cli.published_weights import convert, fetch  # loads torch: not for --help
    from s2cnet import WeightsError

    make_folder(wanted.output, "output")
    for preset in wanted.presets:
        try:
            data = _read(wanted.file) if wanted.file else fetch(preset)
            path, digest = convert(data, preset, wanted.output)
        except (WeightsError, OSError) as error:
            if wanted.file and isinstance(error, WeightsError):
                raise SettingError("file", f"{wanted.file} is no {preset}: {error}") from error
            print(f"{preset}: {error}", file=sys.stderr)
            return FAILED
        print(f"{preset}: {path}  sha256 {digest}")
    return 0


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        problem = f"{file} cannot be read: {error.strerror or error}: name the .pth"
        raise SettingError("file", problem) from error


if __name__ == "__main__":
    sys.exit(main())
