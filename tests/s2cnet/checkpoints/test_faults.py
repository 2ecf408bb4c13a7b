"""State dicts are compared by one function, which reports all differences."""

import torch

from s2cnet.checkpoints.faults import layout_faults

EXPECTED = {"a": torch.zeros(2, 3), "b": torch.zeros(4), "c": torch.zeros(1)}


def test_equal_layouts_have_no_faults() -> None:
    assert layout_faults({**EXPECTED, "b": torch.ones(4).half()}, EXPECTED) == ""


def test_every_kind_of_fault() -> None:
    found = {"a": torch.zeros(3, 2), "b": torch.zeros(4, dtype=torch.int64), "d": torch.zeros(1)}
    assert layout_faults(found, EXPECTED) == (
        "1 missing: c; 1 unexpected: d; 1 misshapen: a [3, 2] instead of [2, 3]; "
        "1 wrong type: b torch.int64"
    )


def test_what_is_no_tensor() -> None:
    assert layout_faults({**EXPECTED, "c": [0.0]}, EXPECTED) == "1 wrong type: c list"


def test_long_lists_are_cut_where_asked() -> None:
    assert layout_faults({}, EXPECTED) == "3 missing: a, b, c"
    assert layout_faults({}, EXPECTED, most=3) == "3 missing: a, b, c"
    assert layout_faults({}, EXPECTED, most=2) == "3 missing: a, b, ..."
