"""The options of an evaluation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.cropping.build import EMBEDDED
from pipeline.errors import SettingError
from pipeline.options import check, option
from pipeline.settings import CroppingSettings, InputSettings
from pipeline.shapes import Shape, parse_shapes


@dataclass(frozen=True, kw_only=True)
class EvaluationJob:
    """A data set, a network, and its baselines. Raises UsageError."""

    dataset: Literal[
        "gaicv1", "gaicv2", "ugcrop5k", "cpc", "flms", "fcdb", "sacd", "gnmc", "osie", "eyecrowd",
        "labels", "crops", "photos",
    ] = option(help="which layout the folder has", placeholder="LAYOUT")  # fmt: skip
    data: Path = option(help="folder of the data set", placeholder="FOLDER")
    output: Path = option(help="where the report goes", placeholder="FOLDER")
    split: str = option("test", "train, val or test", placeholder="SPLIT")
    limit: int | None = option(None, "only the first so many photos", placeholder="PHOTOS", least=1)
    weights: str = option(
        InputSettings.weights,
        "file or URI of S2CNet weights, `starter` (in the package) or `untrained`; `default` is "
        "`starter` where the package has it, else `untrained`",
        placeholder="WEIGHTS",
    )
    preset: Literal["gaicv1", "gaicv2"] = option(
        InputSettings.preset, "configuration of an untrained network"
    )
    detector: str = option(
        InputSettings.detector,
        "`embedded`, `torchvision:<model>[:weights]`, `vg:<weights>`, or `boxes`: those that come "
        "with the data set",
        placeholder="DETECTOR",
    )
    detectors: Path | None = option(
        None,
        "folder of fold0.safetensors to fold4.safetensors, as `learn_from_people.py looking` "
        "writes it: embedded detectors, of which each photo has the one that did not learn from it",
        placeholder="FOLDER",
    )
    networks: Path | None = option(
        None, "folder of S2CNets by fold, likewise; without it `weights` are for all photos",
        placeholder="FOLDER",
    )  # fmt: skip
    features: Path | None = option(
        None,
        "folder of the branches by fold that `learn_from_people.py features --folds` writes for "
        "these detectors and networks: S2CNet reads them, as with `--backbone shared`",
        placeholder="FOLDER",
    )
    search: Literal["coarse", "exhaustive"] = option(
        CroppingSettings.search,
        "score the most promising candidates, as crop_bucket does, or all of them",
    )
    rank_by: Literal["overlap", "score"] = option(
        CroppingSettings.rank_by,
        "take the crop that people's crops are expected to overlap most, as crop_bucket does; or "
        "the crop with the network's highest score",
    )
    backbone: Literal["auto", "shared", "own"] = option(
        CroppingSettings.backbone,
        "what S2CNet reads: its own backbone, or what the embedded detector has seen",
    )
    baselines: str = option(
        "all",
        "what the crops are compared with, by comma: centre, centre_90, largest, anchor_prior, "
        "attention, entropy, smartcrop_js; `all` is all of these",
        placeholder="NAMES",
    )
    gaic: str | None = option(
        None,
        "file or URI of GAIC weights: the network without a graph as one more baseline",
        placeholder="WEIGHTS",
    )
    focalnet: Path | None = option(
        None, "FocalNet's crop ranker, format 2: one more baseline", placeholder="ONNX"
    )
    judge: str | None = option(
        None,
        "detector that violations are judged by, named as for `detector`; else the run's",
        placeholder="DETECTOR",
    )
    ratios: str = option(
        "1:1,4:3,16:9,9:16,3:4",
        "shapes, by comma, at which gaze, heads, objects or people are followed",
        placeholder="SHAPES",
    )
    groups: Path | None = option(
        None,
        "photo,x0,y0,x1,y1,group: people whose share in the crops is compared between groups; in "
        "pixels of the photo as it is shown",
        placeholder="CSV",
    )
    resamples: int = option(1000, "bootstrap samples for each interval", least=1)
    seed: int = option(0, "random seed of the bootstrap and of an untrained network", least=0)
    device: str = option(
        "auto", "cpu, cuda, cuda:N, mps, or auto: a CUDA GPU where there is one",
        placeholder="DEVICE",
    )  # fmt: skip
    ray: bool = option(False, "on a Ray cluster instead of in this process")
    max_error_rate: float = option(
        0.05,
        "exit with 3 where a larger share of photos could not be judged",
        placeholder="SHARE",
        least=0,
        most=1,
    )
    log_format: Literal["text", "json"] = option("text", "how progress is told")

    def __post_init__(self) -> None:
        check(self)
        _ = self.shapes
        if self.detectors is not None and self.detector not in (EMBEDDED, InputSettings.detector):
            raise SettingError("detectors", f"are embedded ones, and --detector is {self.detector}")
        by_fold = self.detectors is not None or self.networks is not None
        if by_fold and self.features is None and self.backbone == "shared":
            raise SettingError("backbone", "shared needs branches by fold: give --features")

    @property
    def shapes(self) -> list[Shape]:
        """The shapes of `ratios`. Raises UsageError for a text that names no shape."""
        return parse_shapes(self.ratios)
