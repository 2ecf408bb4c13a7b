"""A peer: the same crops by a Ray Data script as Ray's documentation suggests.

`read_images`, a class for the network, a function for the crops, `write_parquet`. It has no records
or tasks, does not handle errors (a broken file fails the run), and decodes every photo in full.

    python tests/bench/naive_ray_data.py INPUT OUTPUT
"""

import io
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import ray
import torch
from PIL import Image

from pipeline.cropping.candidates import for_ratio
from pipeline.detectors import make_detector
from s2cnet import S2CNet, boxes_to_input, prepare_image

RATIOS = ("1:1", "4:3", "16:9", "9:16", "3:4")
THUMBNAIL = 512


class Score:
    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.model = S2CNet.untrained()
        self.detector = make_detector("embedded")

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        row["boxes"] = best_boxes(row["image"], self.model, self.detector)
        return row


@torch.inference_mode()
def best_boxes(image: np.ndarray, model: S2CNet, detector: Any) -> np.ndarray:
    """Return the plain network's best crop of each ratio: [5, 4], pixels of `image`."""
    prepared, scale = prepare_image(image)
    (found,) = detector.detect([image])
    best = []
    for ratio in RATIOS:
        boxes = for_ratio(image.shape[1], image.shape[0], ratio)
        crops = torch.nn.functional.pad(boxes_to_input(boxes, scale), (1, 0))
        scores = model(prepared[None], crops, [boxes_to_input(found.boxes, scale)])
        best.append(boxes[int(scores.argmax())])
    return np.stack(best)


def thumbnails(row: dict[str, Any]) -> dict[str, Any]:
    """Encode the crops as WebP; the circle reuses the square."""
    return {"path": row["path"], "crops": encoded(row["image"], row["boxes"])}


def encoded(image: np.ndarray, boxes: np.ndarray) -> list[bytes]:
    crops = []
    for box in [*boxes, boxes[0]]:
        picture = Image.fromarray(image).crop(tuple(map(int, box)))
        picture.thumbnail((THUMBNAIL, THUMBNAIL))
        stream = io.BytesIO()
        picture.save(stream, "webp", quality=80)
        crops.append(stream.getvalue())
    return crops


def main() -> None:
    source, target = sys.argv[1:]
    ray.init(include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    (
        ray.data.read_images(source, mode="RGB", include_paths=True)
        .map(Score, compute=ray.data.ActorPoolStrategy(size=2), num_cpus=0.5)
        .map(thumbnails)
        .write_parquet(target)
    )


if __name__ == "__main__":
    main()
