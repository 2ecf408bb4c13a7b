"""Definitions of colour spaces, for computing expected colours: the standards' own numbers."""

import numpy as np

# Linear RGB of a space to linear sRGB, both of white D65 (SMPTE EG 432-1; ITU-R BT.2087).
P3_TO_SRGB = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
BT2020_TO_SRGB = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)


def light(values: np.ndarray, exponent: float | None = None) -> np.ndarray:
    """Convert stored values, 0 to 255, to linear light: by an exponent, or sRGB's curve."""
    v = np.asarray(values, float) / 255
    if exponent is not None:
        return v**exponent
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def srgb(linear: np.ndarray) -> np.ndarray:
    """Convert linear light to stored sRGB values (IEC 61966-2-1)."""
    x = np.clip(linear, 0, 1)
    return 255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
