"""The detector that needs no download: salient regions and faces.

Saliency is the spectral residual (Hou and Zhang, CVPR 2007): what the log spectrum of a small
copy of the photo has more of than its own local mean. Faces come from OpenCV's Haar cascade.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.detectors import Detections, Pixels

MAX_OBJECTS = 10
SALIENCY_SIDE = 64
"""Side of the square copy, as in the paper: saliency is about blobs, not detail."""
FACE_SIDE = 480
"""Longest side at which faces are searched, in pixels: a face of 5 % of the photo is 24 there."""


class EmbeddedDetector:
    """Faces first, then salient regions by the saliency they hold."""

    name = "embedded"
    identity = f"embedded-1-opencv{cv2.__version__}"

    def __init__(self) -> None:
        cascade = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml"
        self._faces = cv2.CascadeClassifier(str(cascade))

    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        """See `Detector.detect`. At most 10 boxes."""
        return [self._detect_one(photo) for photo in photos]

    def _detect_one(self, photo: Pixels) -> Detections:
        faces = self._find_faces(photo)
        regions, weights = _salient_regions(photo)
        boxes = np.concatenate([faces, regions])
        scores = np.concatenate([np.ones(len(faces), np.float32), weights])
        labels = ["face"] * len(faces) + ["salient"] * len(regions)
        return Detections(boxes, scores, labels).top(MAX_OBJECTS)

    def _find_faces(self, photo: Pixels) -> NDArray[np.float32]:
        height, width = photo.shape[:2]
        scale = min(1.0, FACE_SIDE / max(height, width))
        if scale * min(height, width) < 24:  # the cascade's own window
            return np.zeros((0, 4), np.float32)
        size_wh = (round(width * scale), round(height * scale))
        grey = cv2.cvtColor(
            cv2.resize(photo, size_wh, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
        )
        found = self._faces.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=6)
        xywh = np.asarray(found, np.float32).reshape(-1, 4) / scale
        largest_first = np.argsort(-xywh[:, 2] * xywh[:, 3], kind="stable")
        boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)[largest_first]
        inside = np.clip(boxes, 0, np.array([width, height, width, height], np.float32))
        return np.asarray(inside, np.float32)


def _salient_regions(photo: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes [R, 4] of connected salient regions and their share of the saliency [R], best first."""
    saliency = _spectral_residual(photo)
    mask = (saliency > 2 * saliency.mean()).astype(np.uint8)
    count, regions, stats, _ = cv2.connectedComponentsWithStats(mask)
    share = np.bincount(regions.ravel(), saliency.ravel(), count)[1:] / max(saliency.sum(), 1e-12)
    order = np.argsort(-share, kind="stable")
    order = order[share[order] > 0.02]
    xywh = stats[1:, :4][order].astype(np.float32)
    height, width = photo.shape[:2]
    to_photo = np.array([width, height, width, height], np.float32) / SALIENCY_SIDE
    boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1) * to_photo
    return boxes.astype(np.float32), share[order].astype(np.float32)


def _spectral_residual(photo: Pixels) -> NDArray[np.float64]:
    """Saliency [64, 64], not negative."""
    small = cv2.resize(photo, (SALIENCY_SIDE, SALIENCY_SIDE), interpolation=cv2.INTER_AREA)
    grey = small.astype(np.float64).mean(2)
    if np.ptp(grey) < 2:  # a flat picture has no residual, only rounding noise
        return np.zeros_like(grey)
    spectrum = np.fft.fft2(grey)
    log_amplitude = np.log(np.abs(spectrum) + 1e-9)
    residual = log_amplitude - cv2.blur(log_amplitude, (3, 3), borderType=cv2.BORDER_REFLECT)
    saliency = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    return np.asarray(cv2.GaussianBlur(saliency, (0, 0), 2.5), np.float64)
