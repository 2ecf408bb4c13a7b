"""Weights drawn at random from their names, as for the stored scores, and small inputs."""

import json
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from s2cnet import S2CNet, S2CNetConfig, from_published_state_dict

GOLDEN = Path(__file__).parents[1] / "golden"


def layout(preset: str) -> dict[str, tuple[list[int], str]]:
    """Return name -> (shape, dtype) of a published checkpoint."""
    stored: dict[str, tuple[list[int], str]] = json.loads(
        (GOLDEN / f"{preset}_state_dict.json").read_text()
    )
    return stored


def drawn_state_dict(preset: str) -> dict[str, Tensor]:
    """Draw a checkpoint in the published layout, the same on every machine."""
    return {name: draw(name, *entry) for name, entry in layout(preset).items()}


def draw(name: str, shape: list[int], dtype: str) -> Tensor:
    """Draw one tensor: normal numbers, seeded by its name and scaled by its role."""
    if dtype != "float32":
        return torch.zeros(shape, dtype=getattr(torch, dtype))
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    x = generator.standard_normal(shape).astype(np.float32)
    return torch.from_numpy(np.asarray(_scaled(name, x), np.float32))


def _scaled(name: str, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(x)
    if name.endswith("running_mean"):
        return 0.1 * x
    if x.ndim >= 2:
        return x * np.float32(np.sqrt(1.5 / np.prod(x.shape[1:])))
    return 1 + 0.1 * x if name.endswith("weight") else 0.1 * x


def drawn_network(preset: str) -> S2CNet:
    return from_published_state_dict(drawn_state_dict(preset), preset)


def small_network(**changes: object) -> S2CNet:
    """Make a seeded network with a narrow graph, so that a test takes milliseconds."""
    torch.manual_seed(0)
    narrow = {"node_dim": 16, "relation_dim": 16, "mlp_dim": 32, "align_size": 3, "detections": 4}
    return S2CNet(S2CNetConfig(**{**narrow, **changes})).eval()  # type: ignore[arg-type]


def draw_boxes(count: int, width: int, height: int, seed: int) -> Tensor:
    """Draw boxes inside width x height: [count, 4], xyxy."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator) * torch.tensor([width, height])
    return torch.cat([corners.amin(1), corners.amax(1)], dim=1)


def draw_inputs(
    candidates: list[int], detections: list[int], seed: int = 0
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Draw a 128 x 96 image for each entry: images, crops (all images', shuffled), detections."""
    width, height = 128, 96
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(len(candidates), 3, height, width, generator=generator)
    rows = [
        torch.nn.functional.pad(draw_boxes(count, width, height, seed + 10 + i), (1, 0), value=i)
        for i, count in enumerate(candidates)
    ]
    crops = torch.cat(rows)
    crops = crops[torch.randperm(len(crops), generator=generator)]
    boxes = [draw_boxes(n, width, height, seed + 90 + i) for i, n in enumerate(detections)]
    return images, crops, boxes
