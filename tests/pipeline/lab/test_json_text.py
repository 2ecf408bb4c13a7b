"""Figures are written as strict JSON."""

import json

from pipeline.lab.json_text import json_text


def test_what_is_no_number_is_null() -> None:
    figures = {"a": [1.5, float("nan")], "b": (float("inf"), -2, "NaN", None, True), "c": {}}
    text = json_text(figures, 1)
    assert json.loads(text) == {"a": [1.5, None], "b": [None, -2, "NaN", None, True], "c": {}}
    assert json_text({"a": 1}, 1) == '{\n "a": 1\n}'
