"""The input to Node and the parsing of its output; a few lines of Python stand in for Node."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.lab.evaluation.baselines.smartcrop_js import SmartcropJs
from pipeline.photo.decode import Photo

FAKE = """#!{python}
import json, sys
given = sys.stdin.read()
if given:
    open({record!r}, "w").write(given)
    print(json.dumps([[64, 8] for _ in json.loads(given)["sizes"]]))
"""


def test_sizes_go_in_and_corners_come_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "request.json"
    node = tmp_path / "node"
    node.write_text(FAKE.format(python=sys.executable, record=str(record)))
    node.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    # The view is a fifth of the photo; its short side of 320 is brought to 256: 6.25 px a pixel.
    photo = Photo(np.full((320, 640, 3), 7, np.uint8), 3200, 1600, "png", 1)
    square, tall = SmartcropJs().crops(photo, [1.0, 0.5])
    request = json.loads(record.read_text())
    assert (request["width"], request["height"]) == (512, 256)
    assert request["sizes"] == [[256, 256], [128, 256]]
    # The corner (64, 8) is at (400, 50) px; crops as high as the photo begin at its top.
    assert square.tolist() == [400, 0, 2000, 1600]
    assert tall.tolist() == [400, 0, 1200, 1600]
