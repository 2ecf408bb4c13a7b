"""Defaults and ranges of the settings: the default job changes only on purpose.

A setting that is missing in the table is new; its own tests define what it does.
"""

from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass, make_dataclass
from typing import Any, get_type_hints

import numpy as np
import pytest

from pipeline.errors import SettingError
from pipeline.gate import DEFAULT_GATE
from pipeline.options import check, choices_of, identity_of, option
from pipeline.settings import Settings

# name: default, least, most
NUMBERS: dict[str, tuple[float | None, float | None, float | None]] = {
    "limit": (None, 1, None),
    "seed": (0, 0, None),
    "max_bytes": (64 * 1024**2, 1, None),
    "max_frames": (500, 1, None),
    "max_animation_pixels": (400_000_000, 1, None),
    "least_complete": (0.75, 0.05, 1),
    "decode_timeout_s": (10, 1, 86_400),
    "decode_memory_bytes": (2 * 1024**3, 256 * 1024**2, None),
    "view_side": (1024, 1, 1_000_000),
    "top_k": (1, 1, None),
    "review_below": (0.3, 0, 1),
    "thumbnail_size": (512, 1, 1_000_000),
    "quality": (80, 1, 100),
    "prune_most": (0.1, 0, 1),
    "preview": (256, 0, 1024),
    "max_error_rate": (1, 0, 1),
    "task_images": (64, 1, None),
    "task_bytes": (128 * 1024**2, 1, None),
    "num_actors": (0, 0, None),
    "gpus_per_actor": (None, 0, None),
    "read_threads": (8, 1, None),
    "image_timeout_s": (60, 1, 86_400),
    "drain_s": (2, 0, 86_400),
    "metrics_port": (0, 0, 65_535),
    "estimate_photos": (500, 1, None),
    "price_cpu_hour": (0.04, 0, None),
    "price_gpu_hour": (1, 0, None),
    "price_get_1000": (0.0004, 0, None),
    "price_put_1000": (0.005, 0, None),
    "price_gb_month": (0.023, 0, None),
    "price_gb_out": (0, 0, None),
}
WORDS: dict[str, object] = {
    "input": "", "overrides": "", "focus_columns": "", "uri_column": "uri", "include": "",
    "exclude": "", "http_hosts": "", "requester_pays": False, "weights": "default",
    "preset": "gaicv1",
    "detector": "embedded", "mode": "incremental", "resume": "", "retry": "",
    "retry_kind": "transient", "borders": "trim", "animated": "first",
    "ratios": "1:1,4:3,16:9,9:16,3:4,circle", "search": "coarse", "rank_by": "overlap",
    "backbone": "own",
    "precision": "float32", "candidates": False, "long_photos": "auto", "text_heavy": "pad",
    "guards": "default", "fallback": "next,largest", "safe_areas": "", "format": "auto",
    "background": "ffffff", "picture_column": "bytes", "boxes_only": False,
    "output": "", "dry_run": False,
    "promote": "auto", "gate": DEFAULT_GATE, "trial": False, "channel": "", "prune": False,
    "compile": "auto", "log_format": "text", "metrics_host": "127.0.0.1", "metrics_file": "",
    "openlineage": "", "estimate": False,
}  # fmt: skip
REQUIRED = {"input", "output"}


def settings(kind: type = Settings) -> Iterator[tuple[Field[Any], Any]]:
    """Every setting and its type."""
    types = get_type_hints(kind)
    for item in fields(kind):
        inner = types[item.name]
        if isinstance(inner, type) and is_dataclass(inner):
            yield from settings(inner)
        else:
            yield item, inner


FIELDS = {item.name: item for item, _ in settings()}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_has_its_default_and_its_range(name: str) -> None:
    about = FIELDS[name].metadata
    assert (FIELDS[name].default, about["least"], about["most"]) == NUMBERS[name]


@pytest.mark.parametrize("name", WORDS)
def test_a_text_has_its_default(name: str) -> None:
    assert FIELDS[name].default == WORDS[name]
    assert FIELDS[name].metadata["required"] is (name in REQUIRED)


def test_every_setting_says_what_it_means() -> None:
    for item, kind in settings():
        about = item.metadata
        assert len(about["help"]) > 3, item.name
        takes_text = kind is str or about["placeholder"]
        assert not takes_text or about["placeholder"].isupper(), item.name
        assert not choices_of(kind) or item.default in choices_of(kind), item.name
        assert item.default is not MISSING, item.name


def test_a_range_holds_its_ends() -> None:
    kind = make_dataclass(
        "Sizes",
        [
            ("low", int, option(1, least=1)),
            ("high", int, option(5, most=5)),
            ("share", float, option(0.0, least=0, below=1)),
            ("maybe", int | None, option(None, least=1)),
        ],
        frozen=True,
    )
    check(kind(low=1, high=5, share=0.0, maybe=None))
    check(kind(low=9, high=-9, share=0.999, maybe=1))
    for change, told in (
        ({"low": 0}, "low must be at least 1, not 0"),
        ({"high": 6}, "high must be at most 5, not 6"),
        ({"share": 1.0}, "share must be below 1, not 1.0"),
        ({"share": -0.1}, "share must be at least 0, not -0.1"),
        ({"maybe": 0}, "maybe must be at least 1, not 0"),
    ):
        with pytest.raises(SettingError, match=f"^{told}$"):
            check(kind(**{"low": 1, "high": 1, "share": 0.5, **change}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"whole": 2.5}, "whole must be a whole number, not 2.5"),
        ({"whole": None}, "whole must be a whole number, not None"),
        ({"whole": True}, "whole must be a whole number, not True"),
        ({"maybe": 1.5}, "maybe must be a whole number, not 1.5"),
        ({"share": "x"}, "share must be a number, not 'x'"),
        ({"share": float("nan")}, "share must be a number, not NaN"),
        ({"share": float("inf")}, "share must be at most 1, not inf"),
        ({"any": float("inf")}, "any must be at most 9223372036854775807, not inf"),
        ({"any": float("-inf")}, "any must be at most 9223372036854775807, not -inf"),
        ({"whole": 1 << 63}, "whole must be at most 9223372036854775807, not 9223372036854775808"),
        ({"words": None}, "words must be a text, not None"),
        ({"words": 5}, "words must be a text, not 5"),
        ({"on": "no"}, "on must be True or False, not 'no'"),
        ({"either": 1}, "either must be True or False or a text, not 1"),
    ],
)
def test_a_value_has_its_type(change: dict[str, object], told: str) -> None:
    kind = make_dataclass(
        "Sizes",
        [
            ("whole", int, option(1)), ("maybe", int | None, option(None)),
            ("share", float, option(0.5, most=1)), ("words", str, option("")),
            ("on", bool, option(False)), ("either", bool | str, option(False)),
            ("any", float, option(1.0)),
        ],
        frozen=True,
    )  # fmt: skip
    check(kind(whole=np.int64(3), maybe=2, share=1, words="a", on=True, either="b"))
    with pytest.raises(SettingError, match=f"^{told}$"):
        check(kind(**change))


def test_a_setting_at_the_value_before_it_was_there_is_not_in_the_identity() -> None:
    kind = make_dataclass(
        "Sizes", [("old", int, option(1)), ("new", str, option("b", before="a"))], frozen=True
    )
    assert identity_of(kind()) == {"old": 1, "new": "b"}
    assert identity_of(kind(new="a")) == {"old": 1}


def test_an_option_without_a_default_is_required() -> None:
    assert option(help="x").metadata["required"] is True
    assert option("", help="x").metadata["required"] is False
    assert option("", required=True).metadata["required"] is True
    plain = option(1).metadata
    assert (plain["positional"], plain["unit"], plain["placeholder"], plain["help"]) == (
        False, "", "", "",
    )  # fmt: skip
    assert (plain["before"], plain["alone"]) == (MISSING, MISSING)
