"""The inputs of the recipes for the packaged weights. None of them is in the package."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import SettingError
from pipeline.lab.folds import FOLDS, fold_name
from pipeline.options import check, option


@dataclass(frozen=True, kw_only=True)
class StarterJob:
    """The photos, labels and networks of the recipe, and where the two files go."""

    photos: Path = option(help="folder with index.json", placeholder="FOLDER")
    objects: Path = option(help="file written by label_objects.mjs", placeholder="JSONL")
    scored_crops: Path = option(help="human scores of crops", placeholder="JSON")
    lite0: Path = option(help="EfficientNet-Lite0", placeholder="PTH")
    centerface: Path = option(help="CenterFace", placeholder="ONNX")
    isnet: Path = option(help="folder with the parts of IS-Net", placeholder="FOLDER")
    mobilenet: Path = option(help="MobileNetV2 SSD", placeholder="TFLITE")
    output: Path = option(help="folder for the two files", placeholder="FOLDER")
    graph_from: Path | None = option(
        None, "weights file whose graph to keep", placeholder="WEIGHTS"
    )
    trial: bool = option(False, "few photos, few steps")
    seed: int = option(0, "random seed of everything", least=0)

    def __post_init__(self) -> None:
        check(self)

    def check_files(self) -> None:
        """Raise SettingError for the first option whose file or folder is missing."""
        for name in ("photos", "isnet"):
            if not getattr(self, name).is_dir():
                raise SettingError(name, f"{getattr(self, name)} is not a folder")
        if not (self.photos / "index.json").is_file():
            raise SettingError("photos", f"{self.photos} has no index.json")
        given = ("objects", "scored_crops", "lite0", "centerface", "mobilenet", "graph_from")
        for name in given:
            path = getattr(self, name)
            if path is not None and not path.is_file():
                raise SettingError(name, f"{path} is missing")


@dataclass(frozen=True, kw_only=True)
class FineTuneJob:
    """The labelled photos and human scores of the last step, and where its file goes."""

    people: tuple[Path, ...] = option(
        help="folders of labelled photos", placeholder="FOLDER", positional=True
    )
    scored_crops: Path = option(help="human scores of crops", placeholder="JSON")
    output: Path = option(help="folder for the file", placeholder="FOLDER")
    start: str = option("starter", "weights to start from", placeholder="WEIGHTS")
    fold: int | None = option(
        None,
        "leave out the photos of this fold, 0 to 4, and write fold0.safetensors to "
        "fold4.safetensors; without it starter.safetensors",
        least=0,
        most=FOLDS - 1,
    )
    trial: bool = option(False, "few photos, few steps")
    seed: int = option(0, "random seed of everything", least=0)

    def __post_init__(self) -> None:
        check(self)

    @property
    def file_name(self) -> str:
        """The name of the weights file; for a fold, the one that readers of folds expect."""
        return "starter.safetensors" if self.fold is None else fold_name(self.fold)
