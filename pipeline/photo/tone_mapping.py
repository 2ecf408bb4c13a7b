"""Tone-map pictures that are brighter than paper (PQ and HLG, "HDR") to the range of usual screens.

Light is measured in units of the reference white, 203 cd/m² (ITU-R BT.2408, 2.2). It is mapped by
the reference white tone mapping operator of SMPTE ST 2094-50, as in Chromium for pictures without a
curve of their own: in BT.2020 primaries all three channels get the gain of the largest,

    gain(x) = y(x) / x     y = x / 2 up to the reference white; from there to the picture's peak,
                           1,000 cd/m² if not stated, a quadratic Bezier curve to 1

so that a white page is half as bright as the brightest light, and no colour changes its hue.
In pictures with a lower peak the page loses less, in proportion to the stops above it. A picture
with a peak up to the reference white is not mapped.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.photo.spaces import BT2020_XY, PEAK_NITS, Curve, Matrix, Space, to_xyz

REFERENCE_NITS = 203.0
_USUAL_PEAK = PEAK_NITS / REFERENCE_NITS
_LEAST_PEAK = 1.02  # in reference whites; below it nothing is mapped
_AT_WHITE = 0.5  # what the reference white becomes if the peak is the usual one or higher
_KAPPA = 0.65  # position of the middle control point between knee and peak
_HLG_GAMMA = 1.2  # of a screen of 1,000 cd/m² (BT.2100-2, table 5)
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)  # BT.2020
_ENCODED = 1 << 14  # steps of light in the lookup table of sRGB values
_ROWS = 128  # rows that are mapped at once, which bounds the memory

Floats = NDArray[np.float32]


def tone_mapped(image: Image.Image, space: Space, target_xy: tuple[float, ...]) -> Image.Image:
    """Convert an RGB image of a PQ or HLG space to RGB of other primaries with sRGB's curve.

    Raises ValueError for primaries that span no space.
    """
    to_2020 = _between(space.xy, BT2020_XY).astype(np.float32)
    to_target = _between(BT2020_XY, target_xy).astype(np.float32)
    light_of, value_of = _light_of(space.curve), _srgb_values()
    stored = np.asarray(image)
    out = np.empty_like(stored)
    for at in range(0, len(stored), _ROWS):
        light = light_of[stored[at : at + _ROWS]]  # [rows, w, 3]
        light = light @ to_2020.T
        if space.curve == "hlg":
            luma = np.maximum(light @ _LUMA, 0)[..., None]
            light = light * luma ** np.float32(_HLG_GAMMA - 1) * _USUAL_PEAK
        light *= _gain(light.max(axis=2), space.peak_nits)[..., None]
        light = np.clip(light @ to_target.T, 0, 1)
        out[at : at + _ROWS] = value_of[np.rint(light * (_ENCODED - 1)).astype(np.int32)]
    return Image.fromarray(out)


def _gain(largest: Floats, peak_nits: float) -> Floats:
    """Return the gain of pixels by their largest channel, which is in reference whites."""
    peak = peak_nits / REFERENCE_NITS
    if peak < _LEAST_PEAK:
        return np.ones_like(largest)
    stops = min(1.0, math.log(peak) / math.log(_USUAL_PEAK))
    white = 1 - (1 - _AT_WHITE) * stops
    # Control points of the curve: the knee (1, white), the middle, the peak (peak, 1).
    x1, y1 = (1 - _KAPPA) + _KAPPA / white, (1 - _KAPPA) * white + _KAPPA
    a, b = 1 - 2 * x1 + peak, 2 * (x1 - 1)
    x = np.clip(largest, 1.0, peak)
    t = (-b + np.sqrt(b * b + 4 * a * (x - 1))) / (2 * a)
    y = white + t * (2 * (y1 - white) + t * (white - 2 * y1 + 1))
    gain: Floats = (y / np.maximum(largest, 1.0)).astype(np.float32)
    return gain


@lru_cache(maxsize=4)
def _light_of(curve: Curve) -> Floats:
    """Return the light of each stored value, [256]: for PQ in reference whites, for HLG 0 to 1."""
    v = np.arange(256) / 255
    if curve == "pq":  # BT.2100-2, table 4
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = v ** (1 / m2)
        nits = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        return (nits / REFERENCE_NITS).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073  # BT.2100-2, table 5
    return np.where(v <= 0.5, v * v / 3, (np.exp((v - c) / a) + b) / 12).astype(np.float32)


@lru_cache(maxsize=1)
def _srgb_values() -> NDArray[np.uint8]:
    """Return the stored value of sRGB for each step of light."""
    light = np.arange(_ENCODED) / (_ENCODED - 1)
    bent = 1.055 * light ** (1 / 2.4) - 0.055
    values = np.rint(255 * np.where(light <= 0.0031308, 12.92 * light, bent))
    return np.asarray(values, np.uint8)


@lru_cache(maxsize=16)
def _between(source_xy: tuple[float, ...], target_xy: tuple[float, ...]) -> Matrix:
    """Return the matrix that converts linear light from one set of primaries to another."""
    return np.asarray(np.linalg.solve(to_xyz(target_xy), to_xyz(source_xy)), np.float64)
