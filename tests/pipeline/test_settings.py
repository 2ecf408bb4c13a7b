"""Settings: what is refused, what identifies a run, and that the command line offers them all."""

from dataclasses import fields

import pytest

from pipeline.errors import UsageError
from pipeline.settings import Settings, flag


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratios": "16x9"}, "16x9"),
        ({"top_k": 0}, "--top-k"),
        ({"quality": 101}, "--quality"),
        ({"format": "bmp"}, "--format"),
        ({"background": "white"}, "--background"),
        ({"background": "fffffffff"}, "--background"),
        ({"max_error_rate": 5.0}, "--max-error-rate"),
        ({"limit": 0}, "--limit"),
        ({"num_actors": -1}, "--num-actors"),
        ({"gpus_per_actor": 1.5}, "--gpus-per-actor"),
        ({"decode_timeout_s": 0.0}, "--decode-timeout-s"),
        ({"metrics_port": 70_000}, "--metrics-port"),
    ],
)
def test_nonsense_is_refused_by_the_name_of_its_option(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Settings(**change)  # type: ignore[arg-type]


def test_identity_holds_what_changes_the_crops_and_nothing_else() -> None:
    plain = Settings(input="a", output="b").identity()
    same = Settings(input="c", output="d", task_images=3, num_actors=7, log_format="json")
    assert same.identity() == plain
    for change in ({"quality": 81}, {"ratios": "1:1"}, {"max_side": 100}, {"crop_files": True}):
        assert Settings(**change).identity() != plain  # type: ignore[arg-type]


def test_every_setting_says_what_it_means() -> None:
    for item in fields(Settings):
        assert item.metadata["help"], item.name
        assert flag(item.name).startswith("--")


def test_background_and_limits_are_read_as_meant() -> None:
    settings = Settings(background="#0080ff", max_bytes=5, decode_timeout_s=2.5)
    assert settings.background_rgb == (0, 128, 255)
    assert (settings.decode_limits.max_bytes, settings.decode_limits.timeout_s) == (5, 2.5)
