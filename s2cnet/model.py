"""S2CNet: scores crop candidates of a picture from what they keep, what they lose and its objects.

"Spatial-Semantic Collaborative Cropping for User Generated Content", AAAI 2024,
https://arxiv.org/abs/2401.08086.
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn

from cuda_ops import rod_align, roi_align
from s2cnet import context, scoring
from s2cnet.backbone import STRIDE, Backbone
from s2cnet.config import PRESETS, S2CNetConfig
from s2cnet.context import ImageContext
from s2cnet.folded_weights import FoldedWeights, fold_weights
from s2cnet.graph import Embedding, GraphTransformer, Relations, box_centres, fill_detections
from s2cnet.heads import AllNodesHead, CropNodeHead
from s2cnet.scoring import Precision


class S2CNet(nn.Module):
    """The network of one `S2CNetConfig`; a new one has random weights (see `untrained`)."""

    def __init__(self, config: S2CNetConfig) -> None:
        super().__init__()
        self.config = config
        width = config.node_dim
        self.backbone = Backbone(config.backbone, config.reduced_dim)
        sampled = 2 * config.reduced_dim * config.align_size**2
        self.embedding = Embedding(sampled, width)
        self.relations = Relations(width, config.relation_dim, config.heads)
        self.transformer = GraphTransformer(width, config.layers, config.heads, config.mlp_dim)
        self.head = (
            CropNodeHead(width)
            if config.head == "crop_node"
            else AllNodesHead(1 + config.detections, width)
        )

        self._folded: tuple[object, FoldedWeights] | None = None

    @classmethod
    def untrained(cls, preset: str = "gaicv1", seed: int = 0) -> "S2CNet":
        """A network with weights drawn from `seed`, in evaluation mode: for trials and tests."""
        if preset not in PRESETS:
            raise ValueError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(PRESETS[preset]).eval()

    def forward(self, images: Tensor, crops: Tensor, detections: Sequence[Tensor]) -> Tensor:
        """Score every crop, the plain way: this is the definition, `score` is the fast path.

        Args:
            images: [B, 3, H, W] of one size, as `prepare_image` makes them.
            crops: [K, 5] rows of (picture index in 0..B-1, x0, y0, x1, y1), in input pixels.
            detections: B tensors [D_b, 4] of object boxes xyxy in input pixels, best first. Any
                number of them, see `s2cnet.graph.fill_detections`.

        Returns: [K] scores, higher is better; comparable within a picture.

        Raises:
            ValueError: a shape that does not fit, a picture index out of range, or a box that is
                not finite.
        """
        check_inputs(images, crops, detections)
        height, width = images.shape[-2:]
        features = self.backbone(images)  # [B, C, h, w]
        objects = self.object_boxes(detections, height, width)  # [B, D, 4]
        rois = torch.cat([crops, self.object_rois(objects)])
        embedded = self.embedding(self.sample(features, rois))  # [K + B * D, node_dim]
        count = crops.shape[0]  # not len(): an exported graph takes any number
        crop_nodes, object_nodes = embedded[:count], embedded[count:]

        picture = crops[:, 0].long()
        object_nodes = object_nodes.unflatten(0, objects.shape[:2])[picture]
        nodes = torch.cat([crop_nodes[:, None], object_nodes], dim=1)  # [K, 1 + D, node_dim]
        boxes = torch.cat([crops[:, None, 1:], objects[picture]], dim=1)
        adjacency, bias = self.relations(nodes, box_centres(boxes, height, width))
        out: Tensor = self.head(self.transformer(nodes, adjacency, bias))
        return out

    @torch.no_grad()
    def score(
        self,
        images: Tensor,
        crops: Tensor,
        detections: Sequence[Tensor],
        precision: Precision = "float32",
    ) -> Tensor:
        """The scores of `forward` within 1e-4, several times faster; arguments of `forward`.

        No gradients. Memory does not grow with the number of crops, except for the scores.

        precision: "bfloat16" or "float16" compute the largest matrix products in it, for GPUs and
        for CPUs with AMX; on other CPUs they gain nothing. Scores then move by about 1 % of their
        spread.
        """
        return self.score_crops(self.encode(images, detections), crops, precision)

    @torch.no_grad()
    def encode(self, images: Tensor, detections: Sequence[Tensor]) -> ImageContext:
        """All of the pictures that no crop changes, backbone included, for `score_crops`."""
        check_images(images, detections)
        return context.encode(self, self.folded_weights(), images, detections)

    @torch.no_grad()
    def score_crops(
        self, encoded: ImageContext, crops: Tensor, precision: Precision = "float32"
    ) -> Tensor:
        """Scores [K] of crops [K, 5] in pictures that `encode` has seen, as often as needed.

        Raises ValueError as `forward` does.
        """
        check_crops(crops, len(encoded.pictures))
        return scoring.score_crops(self, encoded, crops, precision)

    def train(self, mode: bool = True) -> Self:
        """As torch's; also forgets what was derived from the weights."""
        self._folded = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, object]:
        """For copies and pickles: without what can be derived."""
        return {**self.__dict__, "_folded": None}

    def folded_weights(self) -> FoldedWeights:
        """What the fast path derives from the weights; derived anew when one has changed.

        A change is noticed by torch's version counter, by a tensor's address, or by a call of
        `train` or `eval`; a write through `parameter.data` between two calls of `score` is not.
        """
        tensors = (*self.parameters(), *self.buffers())
        # Tensors made in inference mode count no versions.
        state = [(t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors]
        if self._folded is None or self._folded[0] != state:
            with torch.inference_mode(False), torch.no_grad():
                self._folded = state, fold_weights(self)
        return self._folded[1]

    def object_boxes(self, detections: Sequence[Tensor], height: int, width: int) -> Tensor:
        """Exactly D object boxes per picture, [B, D, 4] in input pixels."""
        count = self.config.detections
        return torch.stack([fill_detections(d, count, height, width) for d in detections])

    def object_rois(self, objects: Tensor) -> Tensor:
        """[B, D, 4] boxes -> [B * D, 5] rows with the picture's index in front."""
        index = torch.arange(len(objects), device=objects.device, dtype=objects.dtype)
        rows = index[:, None, None].expand(-1, objects.shape[1], 1)
        return torch.cat([rows, objects], dim=2).flatten(0, 1)

    def sample(self, features: Tensor, rois: Tensor) -> Tensor:
        """What each box keeps and what it loses: [K, 2 * C * A * A], per channel RoI then RoD."""
        size, scale = self.config.align_size, 1 / STRIDE
        kept = roi_align(features, rois, size, scale).flatten(2)
        lost = rod_align(features, rois, size, scale).flatten(2)
        return torch.cat([kept, lost], dim=2).flatten(1)


def check_inputs(images: Tensor, crops: Tensor, detections: Sequence[Tensor]) -> None:
    """Raise ValueError for what `S2CNet.forward` cannot score."""
    check_images(images, detections)
    check_crops(crops, len(images))


def check_images(images: Tensor, detections: Sequence[Tensor]) -> None:
    """Raise ValueError for pictures or object boxes that `S2CNet` cannot score."""
    if images.dim() != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 32:
        raise ValueError(
            f"images must be [B, 3, H, W] with sides of at least 32, got {list(images.shape)}"
        )
    if len(detections) != len(images):
        raise ValueError(f"{len(images)} images need as many detections, got {len(detections)}")
    for boxes in detections:
        if boxes.dim() != 2 or boxes.shape[1] != 4:
            raise ValueError(f"detections must be [D, 4] xyxy, got {list(boxes.shape)}")
        check_finite("detections", boxes)


def check_crops(crops: Tensor, images: int) -> None:
    """Raise ValueError for crops that do not fit a number of pictures."""
    if crops.dim() != 2 or crops.shape[1] != 5:
        raise ValueError(
            f"crops must be [K, 5]: picture index, x0, y0, x1, y1; got {list(crops.shape)}"
        )
    check_finite("crops", crops)
    if torch.compiler.is_compiling() or len(crops) == 0:
        return
    lowest, highest = int(crops[:, 0].min()), int(crops[:, 0].max())
    if lowest < 0 or highest >= images:
        raise ValueError(
            f"picture indices of crops must lie in 0..{images - 1}, got {lowest}..{highest}"
        )


def check_finite(name: str, boxes: Tensor) -> None:
    """Raise ValueError for a coordinate that is not finite; values are unknown while tracing."""
    if not torch.compiler.is_compiling() and not bool(boxes.isfinite().all()):
        raise ValueError(f"{name} must be finite")
