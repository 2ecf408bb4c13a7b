"""The baseline `smartcrop_js`: the npm package smartcrop, run by Node.js.

Node and the package are not dependencies: run `npm install smartcrop` in the working folder, or set
NODE_PATH to the folder that contains it.
"""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import Boxes
from pipeline.errors import UsageError
from pipeline.lab.evaluation.baselines.baseline import PlacingBaseline
from pipeline.photo.decode import Photo

SCRIPT = Path(__file__).with_name("smartcrop.mjs")
SHORT_SIDE = 256  # px; the package itself shrinks a photo to this
TIMEOUT_S = 60


class SmartcropJs(PlacingBaseline):
    """smartcrop.js with its defaults: the largest crop of each ratio, placed by its features."""

    def __init__(self) -> None:
        """Check the installation. Raises UsageError where Node or the package is missing."""
        if shutil.which("node") is None:
            raise UsageError("smartcrop_js needs Node.js")
        found = subprocess.run(["node", str(SCRIPT)], input="", capture_output=True, text=True)
        if found.returncode:
            raise UsageError("smartcrop_js needs `npm install smartcrop` in the working folder")

    def place(self, photo: Photo, sizes: NDArray[np.float64]) -> Boxes:
        """Place crops [N, 4] of sizes [N, 2] (width, height in source pixels)."""
        height, width = photo.pixels.shape[:2]
        shrink = min(1.0, SHORT_SIDE / min(width, height))
        size_wh = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        copy = cv2.resize(photo.pixels, size_wh, interpolation=cv2.INTER_AREA)
        scale = np.array([photo.width_px, photo.height_px]) / size_wh
        request = {
            "width": size_wh[0],
            "height": size_wh[1],
            "rgba": base64.b64encode(cv2.cvtColor(copy, cv2.COLOR_RGB2RGBA).tobytes()).decode(),
            "sizes": np.maximum(np.floor(sizes / scale + 1e-6), 1).tolist(),
        }
        done = subprocess.run(
            ["node", str(SCRIPT)],
            input=json.dumps(request), capture_output=True, text=True, check=True,
            timeout=TIMEOUT_S,
        )  # fmt: skip
        low = np.array(json.loads(done.stdout)) * scale
        low = np.minimum(low, np.array([photo.width_px, photo.height_px]) - sizes)
        return np.concatenate([low, low + sizes], axis=1).astype(np.float32)
