"""What the recipe of the packaged weights is made from. None of it is in the package."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.options import option


@dataclass(frozen=True, kw_only=True)
class StarterJob:
    """The photos, labels and networks of the recipe, and where the two files go."""

    photos: Path = option(help="folder with index.json", placeholder="FOLDER")
    objects: Path = option(help="what label_objects.mjs wrote", placeholder="JSONL")
    scored_crops: Path = option(help="human scores of crops", placeholder="JSON")
    lite0: Path = option(help="EfficientNet-Lite0", placeholder="PTH")
    centerface: Path = option(help="CenterFace", placeholder="ONNX")
    isnet: Path = option(help="folder of IS-Net's pieces", placeholder="FOLDER")
    mobilenet: Path = option(help="MobileNetV2 SSD", placeholder="TFLITE")
    output: Path = option(help="folder for the two files", placeholder="FOLDER")
    graph_from: Path | None = option(
        None, "weights file whose graph is kept", placeholder="WEIGHTS"
    )
    trial: bool = option(False, "few photos, few steps")
    seed: int = option(0, "random seed of everything")
