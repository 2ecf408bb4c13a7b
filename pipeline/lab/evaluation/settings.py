"""The options of an evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.cropping.build import EMBEDDED
from pipeline.errors import SettingError, naming
from pipeline.options import check, option
from pipeline.settings import CroppingSettings, InputSettings
from pipeline.shapes import Shape, parse_shapes, refuse_too_many

RAY_DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True)
class EvaluationJob:
    """A data set, a network, and its baselines. Raises UsageError."""

    dataset: Literal[
        "gaicv1", "gaicv2", "ugcrop5k", "cpc", "flms", "fcdb", "sacd", "gnmc", "osie", "eyecrowd",
        "labels", "crops", "photos",
    ] = option(help="layout of the folder", placeholder="LAYOUT")  # fmt: skip
    data: Path = option(help="folder of the data set", placeholder="FOLDER")
    output: Path = option(help="folder for the report", placeholder="FOLDER")
    split: str = option("test", "train, val or test", placeholder="SPLIT")
    limit: int | None = option(None, "only the first PHOTOS photos", placeholder="PHOTOS", least=1)
    weights: str = option(
        InputSettings.weights,
        "file or URI of S2CNet weights, `starter` (in the package) or `untrained`; `default` is "
        "`starter` if the package has it, else `untrained`",
        placeholder="WEIGHTS",
    )
    preset: Literal["gaicv1", "gaicv2"] = option(
        InputSettings.preset, "configuration of an untrained network"
    )
    detector: str = option(
        InputSettings.detector,
        "`embedded`, `torchvision:<model>[:weights]`, `vg:<weights>`, or `boxes`: the data "
        "set's own",
        placeholder="DETECTOR",
    )
    detectors: Path | None = option(
        None,
        "folder of fold0.safetensors to fold4.safetensors, as `learn_from_people.py looking` "
        "writes it: each photo gets the embedded detector that was not trained on it",
        placeholder="FOLDER",
    )
    networks: Path | None = option(
        None, "folder of S2CNets by fold, used in the same way; else `weights` for all photos",
        placeholder="FOLDER",
    )  # fmt: skip
    features: Path | None = option(
        None,
        "folder of branches by fold, as `learn_from_people.py features --folds` writes them for "
        "these detectors and networks: S2CNet reads their maps, as with `--backbone shared`",
        placeholder="FOLDER",
    )
    search: Literal["coarse", "exhaustive"] = option(
        CroppingSettings.search,
        "score the most promising candidates, as crop_bucket does, or all of them",
    )
    rank_by: Literal["overlap", "score"] = option(
        CroppingSettings.rank_by,
        "take the crop with the highest expected overlap with people's crops, as crop_bucket does, "
        "or the one with the network's highest score",
    )
    backbone: Literal["auto", "shared", "own"] = option(
        CroppingSettings.backbone,
        "what S2CNet reads: its own backbone's features, or those of the embedded detector",
    )
    baselines: str = option(
        "all",
        "comma-separated baselines to compare the crops with: centre, centre_90, largest, "
        "anchor_prior, attention, entropy, smartcrop_js; `all` is all of these",
        placeholder="NAMES",
    )
    gaic: str | None = option(
        None,
        "file or URI of GAIC weights: adds the network without a graph as a baseline",
        placeholder="WEIGHTS",
    )
    focalnet: Path | None = option(
        None, "FocalNet's crop ranker, format 2: adds it as a baseline", placeholder="ONNX"
    )
    judge: str | None = option(
        None,
        "detector whose boxes decide on violations, named as for `detector`; default: the run's",
        placeholder="DETECTOR",
    )
    ratios: str = option(
        "1:1,4:3,16:9,9:16,3:4",
        "comma-separated shapes for which kept gaze, heads, objects or people are measured",
        placeholder="SHAPES",
    )
    copies: bool = option(
        False,
        "also crop five copies of each photo (JPEG of quality 95, 85 and 75, half the size, one "
        "pixel narrower) and measure how far their crops differ; takes up to six times as long",
    )
    groups: Path | None = option(
        None,
        "file with columns photo,x0,y0,x1,y1,group: people whose share in the crops is compared "
        "between groups; in pixels of the upright photo",
        placeholder="CSV",
    )
    resamples: int = option(1000, "bootstrap samples for each interval", least=1)
    seed: int = option(0, "random seed of the bootstrap and of an untrained network", least=0)
    device: str = option(
        "auto", "cpu, cuda, cuda:N, mps, or auto: a CUDA GPU if there is one",
        placeholder="DEVICE",
    )  # fmt: skip
    ray: bool = option(False, "run on a Ray cluster instead of in this process")
    max_error_rate: float = option(
        0.05,
        "exit with 3 if a larger share of photos could not be judged",
        placeholder="SHARE",
        least=0,
        most=1,
    )
    log_format: Literal["text", "json"] = option("text", "format of the log")

    def __post_init__(self) -> None:
        check(self)
        _ = self.shapes
        if self.detectors is not None and self.detector not in (EMBEDDED, InputSettings.detector):
            raise SettingError("detectors", f"are embedded ones, and --detector is {self.detector}")
        if self.ray and self.device not in RAY_DEVICES:
            raise SettingError(
                "device",
                f"is {self.device}, and with --ray Ray tells each worker its GPU: use "
                f"{', '.join(RAY_DEVICES[:-1])} or {RAY_DEVICES[-1]}",
            )
        by_fold = self.detectors is not None or self.networks is not None
        if by_fold and self.features is None and self.backbone == "shared":
            raise SettingError("backbone", "shared needs branches by fold: give --features")

    @property
    def shapes(self) -> list[Shape]:
        """The shapes of `ratios`. Raises UsageError as `parse_shapes`, and for too many."""
        with naming("ratios"):
            shapes = parse_shapes(self.ratios)
            refuse_too_many(len(shapes))
            return shapes
