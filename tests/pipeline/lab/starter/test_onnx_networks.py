"""Text blocks are built from detected lines; the networks are shipped only with the recipe."""

import numpy as np
import pytest

from pipeline.lab.starter.onnx_networks import TextLine, text_blocks


def line(
    x0: float, y0: float, x1: float, y1: float, text: str = "text", score: float = 0.9
) -> TextLine:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)], text, score


def test_lines_that_follow_each_other_are_one_block() -> None:
    blocks = text_blocks(
        [
            line(300, 150, 380, 162, score=0.8),  # somewhere else
            line(60, 40, 260, 52),
            line(60, 61, 180, 73),  # three quarters of its height below the first one
        ],
        400,
        200,
    )
    assert blocks.shape == (2, 5)
    assert blocks[0, :4] * [400, 200, 400, 200] == pytest.approx([60, 40, 260, 73])
    assert blocks[1, :4] * [400, 200, 400, 200] == pytest.approx([300, 150, 380, 162])
    assert blocks[:, 4] == pytest.approx([0.9, 0.8])


def test_a_slanted_line_is_the_box_around_it() -> None:
    slanted = ([(10, 30), (60, 10), (64, 20), (14, 40)], "text", 1.0)
    (block,) = text_blocks([slanted], 100, 100)
    assert block[:4] * 100 == pytest.approx([10, 10, 64, 40])


def test_what_is_hardly_text_is_none() -> None:
    unread = line(10, 10, 90, 20, score=0.6)
    assert text_blocks(
        [unread, line(10, 50, 90, 60, "-.!"), line(10, 80, 20, 90, "物")], 99, 99
    ).shape == (0, 5)
    assert text_blocks([], 100, 100).shape == (0, 5)


def test_blocks_stay_inside_the_photo() -> None:
    (block,) = text_blocks([line(-3, -2, 105, 20)], 100, 100)
    np.testing.assert_allclose(block[:4], [0, 0, 1, 0.2])
