"""What a job asks for without effect, by hand."""

import io
import json
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeline.job import plan
from pipeline.job.networks import pin_weights
from pipeline.job.plan_warnings import report_unused_settings
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.settings.unused import unused_settings
from tests.support.crop_jobs import write_scenes

UNTRAINED, ALL = "without --weights untrained", "without --animated all"
NO_ESTIMATE, NO_CROPS = "without --estimate", "with --boxes-only, which encodes no crops"


@pytest.mark.parametrize(
    ("asked", "weights", "unused"),
    [
        ({}, "starter", {}),
        ({"preset": "gaicv2", "seed": 7}, "file", {"preset": UNTRAINED, "seed": UNTRAINED}),
        ({"preset": "gaicv2", "seed": 7}, "untrained", {}),
        ({"retry_kind": "all"}, "starter", {"retry_kind": "without --retry"}),
        ({"retry_kind": "all", "retry": "ab"}, "starter", {}),
        (
            {"max_frames": 3, "max_animation_pixels": 9, "animated": "skip"}, "starter",
            {"max_frames": ALL, "max_animation_pixels": ALL},
        ),
        ({"max_frames": 3, "animated": "all", "format": "webp"}, "starter", {}),
        ({"quality": 50, "format": "png"}, "starter", {"quality": "with --format png"}),
        ({"quality": 50, "format": "webp"}, "starter", {}),
        (
            {"jpeg_encoder": "jpegli", "format": "webp"}, "starter",
            {"jpeg_encoder": "without --format jpeg"},
        ),
        ({"jpeg_encoder": "jpegli", "format": "jpeg"}, "starter", {}),
        ({"prune_most": 0.5}, "starter", {"prune_most": "without --prune"}),
        ({"prune_most": 0.5, "prune": True}, "starter", {}),
        ({"metrics_host": "::1"}, "starter", {"metrics_host": "without --metrics-port"}),
        ({"metrics_host": "::1", "metrics_port": 9000}, "starter", {}),
        (
            {"gpus_per_actor": 0.5, "local": True}, "starter",
            {"gpus_per_actor": "with --local, which scores on the CPU"},
        ),
        ({"gpus_per_actor": 0.0, "local": True}, "starter", {}),
        ({"gpus_per_actor": 0.5}, "starter", {}),
        (
            {"estimate_photos": 9, "price_gb_out": 1.0}, "starter",
            {"estimate_photos": NO_ESTIMATE, "price_gb_out": NO_ESTIMATE},
        ),
        ({"estimate_photos": 9, "estimate": True}, "starter", {}),
        (
            {"format": "avif", "quality": 40, "boxes_only": True}, "starter",
            {"format": NO_CROPS, "quality": NO_CROPS},
        ),
        ({"thumbnail_size": 99, "boxes_only": True}, "starter", {}),
    ],
)  # fmt: skip
def test_settings_without_effect_are_named_with_the_reason(
    asked: dict[str, Any], weights: Literal["starter", "file", "untrained"], unused: dict[str, str]
) -> None:
    assert unused_settings(Settings.of(**asked), weights) == unused


def events_of(**asked: Any) -> list[dict[str, Any]]:
    told, settings = io.StringIO(), Settings.of(**asked)
    report_unused_settings(settings, pin_weights(settings.input), Log("json", told))
    return [json.loads(line) for line in told.getvalue().splitlines()]


def test_a_job_warns_of_them() -> None:
    (warning,) = events_of(seed=3)
    assert warning["message"] == "WARNING: --seed has no effect without --weights untrained"
    assert (warning["event"], warning["setting"]) == ("unused_setting", "seed")


def test_a_retry_has_the_settings_of_another_run_and_warns_of_none() -> None:
    assert events_of(seed=3, prune_most=0.2, retry="ab") == []


def test_a_plan_warns(tmp_path: Path) -> None:
    told = io.StringIO()
    given = {"input": write_scenes(tmp_path / "in", 1), "output": str(tmp_path / "out")}
    plan(Settings.of(**given, prune_most=0.2), Log("text", told))
    assert "WARNING: --prune-most has no effect without --prune" in told.getvalue()
