"""The backbone of the fast path: in half precision, compiled, and run by ONNX Runtime."""

import shutil
from pathlib import Path

import pytest
import torch

from s2cnet import FastS2CNet
from s2cnet.fast.folded import HalfPrecision, fold_backbone
from s2cnet.onnx import OnnxModule
from tests.support.drawn import draw_inputs, drawn_network, small_network


@torch.no_grad()
def test_backbone_in_half_precision() -> None:
    backbone = small_network().backbone
    images, _, _ = draw_inputs([0], [0])
    plain = backbone(images)
    found = HalfPrecision(fold_backbone(backbone), torch.bfloat16)(images)
    assert found.dtype == torch.float32
    assert 0 < (found - plain).abs().max() < 0.05 * plain.abs().max()


@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler")
@pytest.mark.usefixtures("_compiler")
def test_compiled_backbone_gives_the_same_scores(tmp_path: Path) -> None:
    """Sizes and numbers of images that the backbone was not compiled with."""
    network = drawn_network("gaicv1")
    plain, compiled = FastS2CNet(network), FastS2CNet(network, cache=tmp_path)
    assert len(list(tmp_path.glob("*.pt2"))) == 1
    images, crops, detections = draw_inputs([20, 30], [4, 10])
    for some in (images, images.transpose(2, 3).contiguous()):
        expected = plain.score(some, crops, detections)
        found = compiled.score(some, crops, detections)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_onnxruntime_gives_the_same_scores() -> None:
    pytest.importorskip("onnxruntime")
    network = drawn_network("gaicv1")
    plain, other = FastS2CNet(network), FastS2CNet(network, runtime="onnxruntime")
    assert type(other._encode.args[0].backbone) is OnnxModule  # type: ignore[attr-defined]
    images, crops, detections = draw_inputs([20, 30], [4, 10])
    for some in (images, images.transpose(2, 3).contiguous()):
        expected = plain.score(some, crops, detections)
        torch.testing.assert_close(
            other.score(some, crops, detections), expected, atol=1e-5, rtol=0
        )
