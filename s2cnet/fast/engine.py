"""Score crops in production, with `FastS2CNet`."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from s2cnet.fast.cuda_graphs import CudaGraphs
from s2cnet.fast.folded import Precision, fold
from s2cnet.fast.image import EncodedImage, encode_features, encode_images
from s2cnet.fast.score import score_boxes
from s2cnet.network.arguments import check_crops, check_images, check_numbers
from s2cnet.network.s2cnet import S2CNet
from s2cnet.onnx import Runtime


class FastS2CNet:
    """Scores crops as `S2CNet.forward` does, within 1e-4 and several times faster.

    For inference only, without gradients. The weights are copied on construction: later changes of
    the network have no effect. Memory does not grow with the number of crops, apart from their
    scores.
    """

    def __init__(
        self,
        network: S2CNet,
        precision: Precision = "float32",
        cache: Path | None = None,
        runtime: Runtime = "torch",
        with_backbone: bool = True,
    ) -> None:
        """Fold the weights of a network.

        network: on the device to score on. In training mode its batch norms use the statistics of
            the batch, as in `forward`.
        precision: of the largest matrix products, and on a GPU of the backbone too. "bfloat16" and
            "float16" are for GPUs and for CPUs with AMX; of other CPUs, AMD's with AVX512_BF16 gain
            from "bfloat16". Scores then change by about 1 % of their spread.
        cache: folder of ahead-of-time compiled code, see `s2cnet.aot.cache_folder`: on a CPU the
            backbone is compiled; on a GPU all work is replayed as CUDA graphs instead, and nothing
            is written. None compiles and records nothing.
        runtime: what runs the backbone. "onnxruntime" takes half of torch's time on a CPU, and
            compiles nothing.
        with_backbone: False keeps no backbone: only feature maps can be encoded.

        Raises ValueError for another precision or runtime, and for onnxruntime on a GPU;
        ImportError if it is not installed; CannotCompileError if `cache` is given and the backbone
        can't be compiled.
        """
        self.precision = precision
        self.has_backbone = with_backbone
        self.device = next(network.parameters()).device
        on_gpu = self.device.type == "cuda"
        # A graph saves a GPU's launches, which is all that compiling could gain.
        folded = fold(network, precision, None if on_gpu else cache, runtime, with_backbone)
        self._encode: Callable[[Tensor, Sequence[Tensor]], list[EncodedImage]]
        self._encode_features: Callable[[Tensor, Sequence[Tensor]], list[EncodedImage]]
        self._score: Callable[[EncodedImage, Tensor], Tensor]
        if cache is not None and on_gpu:
            graphs = CudaGraphs(folded)
            self._encode, self._encode_features = graphs.encode, graphs.encode_features
            self._score = graphs.score_boxes
        else:
            self._encode = partial(encode_images, folded)
            self._encode_features = partial(encode_features, folded)
            self._score = partial(score_boxes, folded)

    @torch.inference_mode()  # a fifteenth faster than no_grad: its tensors are not tracked at all
    def encode(self, images: Tensor, detections: Sequence[Tensor]) -> list[EncodedImage]:
        """Compute all that is independent of the crops, backbone included; one result per image.

        Arguments and errors are those of `S2CNet.forward`; ValueError if this has no backbone.
        """
        check_images(images, detections)
        return self._encode(images, detections)

    @torch.inference_mode()
    def encode_features(self, features: Tensor, detections: Sequence[Tensor]) -> list[EncodedImage]:
        """Encode as `encode`, from feature maps that the network's backbone did not compute.

        features: [B, c, H / 16, W / 16] of images [B, 3, H, W], with the backbone's c channels
        detections: boxes [D_b, 4] of each image, in the images' pixels
        """
        return self._encode_features(features, detections)

    def score_crops(self, encoded: Sequence[EncodedImage], crops: Tensor) -> Tensor:
        """Score crops [K, 5] of images that `encode` has encoded: [K].

        A crop's first column is its image's index in `encoded`; all are float32. Raises ValueError
        as `forward`.
        """
        check_crops(crops, len(encoded))
        check_numbers("crops", crops, torch.float32)
        with torch.inference_mode():
            scores = crops.new_empty(len(crops))
            for index, image in enumerate(encoded):
                rows = (crops[:, 0].long() == index).nonzero().flatten()
                if len(rows):
                    scores[rows] = self._score(image, crops[rows, 1:])
        return scores.clone()  # a tensor that may be used anywhere

    @torch.inference_mode()
    def score_boxes(self, image: EncodedImage, boxes: Tensor) -> Tensor:
        """Score boxes [K, 4] of one image, K ≥ 1, as `score_crops` but without checks: [K].

        The result is a tensor of inference mode: copy it before using it for training.
        """
        return self._score(image, boxes)

    def score(self, images: Tensor, crops: Tensor, detections: Sequence[Tensor]) -> Tensor:
        """Score crops with the arguments, result and errors of `S2CNet.forward`."""
        return self.score_crops(self.encode(images, detections), crops)
