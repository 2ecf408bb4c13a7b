"""Settings: what is refused, what identifies a run, and that old runs keep their identity."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

import pytest

from pipeline.crop_names import parse_crop_names
from pipeline.errors import SettingError, UsageError
from pipeline.inputs.http import HttpPolicy
from pipeline.ledger.channels.channel import channel_name
from pipeline.photo.encoding.thumbnail import ENCODED
from pipeline.photo.limits import DecodeLimits
from pipeline.settings import CroppingSettings, DecodingSettings, Settings, ThumbnailSettings
from pipeline.settings.crop_name_checks import check_distinct
from s2cnet import PRESETS
from tests.support.old_settings import BEFORE, OLD_DEFAULTS, PARTS

STORED = Path(__file__).parents[1] / "golden" / "runs" / "release_0_1_0" / "out" / "runs"


# Another value of each setting that is free text.
OTHER_TEXTS = {
    "ratios": "1:1",
    "background": "000000",
    "guards": "off",
    "fallback": "pad",
    "safe_areas": "1:1=badge:0.75,0.75,1,1",
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratios": "16to9"}, "16to9"),
        ({"top_k": 0}, "^top_k must be at least 1, not 0$"),
        ({"quality": 101}, "^quality must be at most 100, not 101$"),
        ({"format": "bmp"}, "^format must be one of auto, webp, jpeg, png, avif, not 'bmp'$"),
        ({"background": "white"}, "^background"),
        ({"background": "fffffffff"}, "^background"),
        ({"max_error_rate": 5.0}, "^max_error_rate must be at most 1, not 5.0$"),
        ({"limit": 0}, "^limit must be at least 1"),
        ({"num_actors": -1}, "^num_actors must be at least 0"),
        ({"gpus_per_actor": 1.5}, "^gpus_per_actor"),
        ({"gpus_per_actor": -1.0}, "^gpus_per_actor"),
        ({"decode_timeout_s": 0.0}, "^decode_timeout_s"),
        ({"image_timeout_s": 0.0}, "^image_timeout_s"),
        ({"drain_s": -1.0}, "^drain_s"),
        ({"drain_s": 1e30}, "^drain_s must be at most 86400, not 1e"),
        ({"decode_timeout_s": 1e7}, "^decode_timeout_s must be at most 86400"),
        ({"image_timeout_s": 1e7}, "^image_timeout_s must be at most 86400"),
        ({"view_side": 1 << 32}, "^view_side must be at most 1000000, not 4294967296$"),
        ({"thumbnail_size": 1 << 32}, "^thumbnail_size must be at most 1000000"),
        ({"gpus_per_actor": float("inf")}, "^gpus_per_actor must be at most"),
        ({"gpus_per_actor": 1e-5}, "^gpus_per_actor must be 0 or at least 0.0001$"),
        ({"metrics_port": 70_000}, "^metrics_port must be at most 65535, not 70000$"),
        ({"seed": -1}, "^seed must be at least 0"),
        ({"guards": "heads"}, "^guards 'heads' is no profile: write one of default, strict"),
        ({"guards": "hats=0.1"}, "^guards 'hats' is no guard: write one of heads, faces, text"),
        ({"guards": "haeds=0.1"}, r"subject; did you mean heads\?$"),
        ({"guards": "strcit"}, r"^guards .*heads=0.1; did you mean strict\?$"),
        ({"fallback": "next,larget"}, r"or none; did you mean largest\?$"),
        ({"gate": "head_cut_rat<=0.1"}, r"^gate .*; did you mean head_cut_rate\?$"),
        ({"guards": "heads=2"}, "^guards heads=2 is no share: .* or heads=off$"),
        ({"guards": "heads=cut"}, "^guards heads=cut is no share"),
        ({"guards": "text=0.1"}, "^guards text=0.1 is unknown: write text=cut or text=off$"),
        ({"guards": "heads=0.1,strict"}, "^guards 'strict' must stand first"),
        ({"guards": " , "}, "^guards is empty: write off"),
        ({"fallback": "pad,next"}, "^fallback 'pad,next': pad always decides, so put it last$"),
        ({"fallback": "next,next"}, "^fallback 'next,next' has an unknown word or one twice"),
        ({"fallback": "shrink"}, "^fallback 'shrink' has .*: write some of next, largest, pad"),
        ({"fallback": ""}, "^fallback is empty"),
        ({"safe_areas": "16:9=badge:0,0,1"}, "^safe_areas '16:9=badge:0,0,1' is no rectangle"),
        ({"safe_areas": "16:9=0,0,1,1"}, "^safe_areas '16:9=0,0,1,1' is no rectangle"),
        ({"safe_areas": "16:9=a:0,0.8,1,0.8"}, "^safe_areas '16:9=a.*x0 below x1 and y0 below y1$"),
        ({"safe_areas": "16:9=a:0,0,1,1"}, "^safe_areas '16:9=a:0,0,1,1' covers the whole crop$"),
        ({"safe_areas": "wide=a:0,0,1,0.1"}, "^safe_areas 'wide=a:0,0,1,0.1' names no shape"),
        ({"safe_areas": "5:4=a:0,0,1,0.1"}, "^safe_areas names 5:4, which is not among ratios$"),
        ({"focus_columns": "x"}, "^focus_columns are two names, not 'x'$"),
        ({"focus_columns": "x,x"}, "^focus_columns are two names"),
        ({"resume": "a", "overrides": "b.csv"}, "^overrides cannot be changed"),
        ({"resume": "a", "retry": "b"}, "^resume .*choose one"),
    ],
)
def test_nonsense_is_refused_by_the_name_of_its_field(
    change: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Settings.of(**change)


@pytest.mark.parametrize("name", ["max_bytes", "max_pixels", "max_jpeg_pixels", "max_side",
                                  "view_side", "thumbnail_size", "quality",
                                  "task_images", "task_bytes", "read_threads"])  # fmt: skip
def test_sizes_are_at_least_1(name: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.of(**{name: 0})
    assert caught.value.field == name
    assert Settings.of(**{name: 1}).flat()[name] == 1


def test_a_memory_in_which_no_decoder_starts_is_refused() -> None:
    with pytest.raises(SettingError, match=r"^decode_memory_bytes must be at least 268435456, not"):
        Settings.of(decode_memory_bytes=(256 << 20) - 1)
    assert Settings.of(decode_memory_bytes=256 << 20).decoding.limits.memory_bytes == 256 << 20


def test_identity_holds_what_changes_the_crops_and_nothing_else() -> None:
    plain = Settings.of(input="a", output="b").identity()
    same = Settings.of(input="c", output="d", task_images=3, num_actors=7, log_format="json")
    assert same.identity() == plain
    for change in ({"quality": 81}, {"ratios": "1:1"}, {"max_side": 100}, {"crop_files": True}):
        assert Settings.of(**change).identity() != plain


@pytest.mark.parametrize(
    "name",
    [
        item.name
        for part in (DecodingSettings, CroppingSettings, ThumbnailSettings)
        for item in fields(part)
    ],
)
def test_every_setting_that_changes_the_crops_is_in_the_identity(name: str) -> None:
    value = Settings().flat()[name]
    choices = next(kinds[name] for kinds in map(get_type_hints, PARTS) if name in kinds)
    if get_origin(choices) is Literal:
        other = next(choice for choice in get_args(choices) if choice != value)
    elif isinstance(value, bool):
        other = not value
    elif isinstance(value, str):
        other = OTHER_TEXTS[name]
    else:
        other = value * 0.9 if isinstance(value, float) else value + 1
    assert Settings.of(**{name: other}).identity() != Settings().identity()


def test_identity_is_that_of_a_run_made_before_settings_had_parts() -> None:
    """The stored run's spec holds names and values of release 0.1.0, as JSON text."""
    (stored,) = STORED.glob("*/spec.json")
    asked = {"ratios": "1:1,16:9,circle", "thumbnail_size": 48, "candidates": True}
    today = Settings.of(**asked, **OLD_DEFAULTS, **BEFORE)
    settings = json.loads(stored.read_text())["settings"]
    assert json.dumps(today.identity(), sort_keys=True) == json.dumps(settings, sort_keys=True)


def test_the_job_of_that_run_can_be_made_again() -> None:
    """Its manifest holds every setting of release 0.1.0, and there was none that is gone."""
    (stored,) = STORED.glob("*/_MANIFEST.json")
    job = json.loads(stored.read_text())["job"]
    again = json.loads(json.dumps(Settings.of(**job).flat()))
    later = Settings().flat()  # settings of later releases have their defaults
    assert again == {**{name: later[name] for name in again.keys() - job.keys()}, **job}


def test_a_new_setting_is_in_the_identity_where_it_asks_for_something_new() -> None:
    """Of the settings that were added, the old meaning has no place in it, any other has."""
    asked = {"guards": "heads=0.2", "fallback": "pad", "safe_areas": "1:1=circle"}
    for name, value in asked.items():
        assert name not in Settings.of(**BEFORE).identity()
        assert name in Settings.of(**{**BEFORE, name: value}).identity()


def test_where_nothing_is_encoded_the_encoding_is_no_identity() -> None:
    boxes = Settings.of(boxes_only=True)
    assert boxes.identity() == Settings.of(boxes_only=True, format="png", quality=3).identity()
    assert boxes.identity() != Settings.of(boxes_only=True, thumbnail_size=64).identity()
    assert "boxes_only" not in Settings().identity()
    assert channel_name(boxes.identity()).startswith("16x9_1x1_3x4_and_3_more-boxes-512-")
    assert "-auto-512-" in channel_name(Settings().identity())
    assert "-webp-512-" in channel_name(Settings.of(format="webp").identity())
    with pytest.raises(SettingError, match=r"^boxes_only encodes no crops"):
        Settings.of(boxes_only=True, crop_files=True)


def test_guards_of_one_meaning_are_one_identity() -> None:
    first = Settings.of(guards="default,heads=0.2", fallback="next, pad").identity()
    assert first == Settings.of(guards="heads = 0.20", fallback="next,pad").identity()
    assert first != Settings.of(guards="heads=0.3", fallback="next,pad").identity()
    assert Settings.of(guards="people,heads=off,faces=off").identity() == (
        Settings.of(guards="off").identity()
    )


def test_flat_and_parts_say_the_same() -> None:
    settings = Settings.of(input="a", top_k=3, view_side=64, drain_s=0.5, quality=1)
    assert (settings.input.input, settings.cropping.top_k) == ("a", 3)
    assert (settings.decoding.view_side, settings.thumbnails.quality) == (64, 1)
    assert settings.running.drain_s == 0.5
    assert Settings.of(**settings.flat()) == settings
    with pytest.raises(TypeError, match="hue, size"):
        Settings.of(size=1, hue=2)


def test_no_two_parts_have_a_field_of_one_name() -> None:
    names = [item.name for part in PARTS for item in fields(part)]
    assert len(names) == len(set(names)) == len(Settings().flat())


def test_every_setting_says_what_it_means() -> None:
    for part in PARTS:
        for item in fields(part):
            assert item.metadata["help"], item.name


def test_background_and_limits_are_read_as_meant() -> None:
    settings = Settings.of(background="#0080ff", max_bytes=5, decode_timeout_s=2.5)
    assert settings.thumbnails.background_rgb == (0, 128, 255)
    limits = settings.decoding.limits
    assert (limits.max_bytes, limits.timeout_s) == (5, 2.5)
    assert asdict(Settings().decoding.limits) == asdict(DecodeLimits())


def test_the_view_is_twice_the_thumbnail_where_that_is_more() -> None:
    assert Settings.of(view_side=1024, thumbnail_size=512).decoded_side == 1024
    assert Settings.of(view_side=1024, thumbnail_size=600).decoded_side == 1200


def test_hosts_are_read_by_comma() -> None:
    assert Settings().input.http is None
    assert Settings.of(http_hosts=" ,").input.http is None
    policy = Settings.of(http_hosts=" a.example, .B.example,").input.http
    assert policy == HttpPolicy(frozenset({"a.example", ".b.example"}))


@pytest.mark.parametrize(
    "host", ["127.0.0.1:5871", "http://img.example.com", "a.example/", "*.example.com", "a b", "."]
)
def test_what_no_address_has_as_its_host_is_refused(host: str) -> None:
    with pytest.raises(SettingError, match=r"http_hosts has .* no host: write names alone"):
        Settings.of(http_hosts=f"a.example,{host}")
    assert Settings.of(http_hosts="127.0.0.1,::1,img_2.example,münchen.example").input.http


def test_choices_are_those_of_the_code_behind_them() -> None:
    for format in ENCODED:
        assert Settings.of(format=format).thumbnails.format == format
    for preset in PRESETS:
        assert Settings.of(preset=preset).input.preset == preset


def test_every_limit_reaches_the_decoder() -> None:
    """Each by its own name, all different and none a default."""
    names = ["max_bytes", "max_pixels", "max_jpeg_pixels", "max_progressive_pixels",
             "max_scan_pixels", "max_side", "max_frames", "max_animation_pixels"]  # fmt: skip
    asked: dict[str, float] = {name: 1000 + place for place, name in enumerate(names)}
    limits = DecodingSettings(
        **asked, least_complete=0.5, decode_timeout_s=7.5, decode_memory_bytes=1 << 29
    ).limits  # type: ignore[arg-type]
    assert asdict(limits) == {
        **asked, "least_complete": 0.5, "timeout_s": 7.5, "memory_bytes": 1 << 29,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"background": "fffff"}, "background"),
        ({"background": "gggggg"}, "background"),
        ({"crop_files": "{stem}{nothing}"}, "crop_files"),
        ({"crop_files": "all.{format}"}, "crop_files"),
        ({"crop_files": "/{stem}"}, "crop_files"),
        ({"crop_files": "{stem} {rank}"}, "crop_files"),
        ({"gpus_per_actor": 1.5}, "gpus_per_actor"),
        ({"boxes_only": True, "crop_files": True}, "boxes_only"),
        ({"max_scan_pixels": 0}, "max_scan_pixels"),
        ({"prune_most": -0.1}, "prune_most"),
    ],
)
def test_a_refusal_names_its_setting(asked: dict[str, object], field: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings.of(**asked)
    assert caught.value.field == field


@pytest.mark.parametrize("share", [None, 0, 0.5, 1, 1.0, 2])
def test_shares_of_a_gpu_are_parts_of_one_or_whole_ones(share: float | None) -> None:
    assert Settings.of(gpus_per_actor=share).running.gpus_per_actor == share


@pytest.mark.parametrize(
    ("template", "ratios", "top_k", "told"),
    [
        ("{stem}.{format}", ["1:1", "4:3"], 1, "add {ratio}"),
        ("{stem}-{ratio}", ["1:1", "4:3"], 2, "add {rank}"),
        ("{stem}-{ratio}", ["4:3", "4x3"], 1, "4:3, 4x3 one name"),
    ],
)
def test_crops_of_one_photo_have_names_of_their_own(
    template: str, ratios: list[str], top_k: int, told: str
) -> None:
    with pytest.raises(SettingError, match=told) as caught:
        check_distinct(parse_crop_names(template), ratios, top_k)
    assert caught.value.field == "crop_files"
    for same in ("{stem}-{ratio}-{rank}", "{stem}-{hash}"):
        check_distinct(parse_crop_names(same), ["1:1", "4:3"], 2)
    check_distinct(parse_crop_names("{stem}"), ["1:1"], 1)
