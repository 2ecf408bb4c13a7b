"""Settings with a small language: guards, fallbacks, safe areas, names of crops."""

from typing import Any

import pytest

from pipeline.crop_names import (
    LONGEST_NAME,
    LONGEST_PART,
    escaped,
    object_key,
    parse_crop_names,
)
from pipeline.errors import SettingError
from pipeline.settings import Settings
from pipeline.settings.crop_name_checks import check_distinct, check_photos
from pipeline.settings.guards import PROFILES, Guards, parse_fallback, parse_guards
from pipeline.settings.safe_areas import (
    WHOLE,
    SafeArea,
    parse_safe_areas,
    safe_area_of,
    stored_safe_areas,
)
from pipeline.shapes import parse_shape


def test_profiles() -> None:
    """docs/GUARDS.md gives these numbers."""
    assert {
        "default": Guards(0.3, 0.3, "cut"),
        "strict": Guards(0.1, 0.1, "cut"),
        "people": Guards(0.1, 0.1, None, None),
        "off": Guards(None, None, None, None),
    } == PROFILES
    assert [bool(guards) for guards in PROFILES.values()] == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "guards"),
    [
        ("default", Guards(0.3, 0.3, "cut")),
        (" Strict , text = OFF ", Guards(0.1, 0.1, None)),
        ("off,subject=1", Guards(subject=1.0)),
        ("off,heads=0", Guards(heads=0.0)),
        ("faces=off", Guards(0.3, None, "cut", None)),
        ("subject=0.2", Guards(0.3, 0.3, "cut", 0.2)),
        ("people,text=cut,", Guards(0.1, 0.1, "cut", None)),
    ],
)
def test_guards_are_read(text: str, guards: Guards) -> None:
    assert parse_guards(text) == guards
    assert parse_guards(str(guards)) == guards, "told as they are read"


def test_guards_are_told() -> None:
    assert str(Guards()) == "off"
    assert str(Guards(heads=0.0)) == "heads=0.0,faces=off,text=off,subject=off"
    assert str(Guards(text="cut")) == "heads=off,faces=off,text=cut,subject=off"
    for guards in (Guards(heads=0.0), Guards(faces=0.0), Guards(text="cut"), Guards(subject=0.0)):
        assert guards


@pytest.mark.parametrize("text", ["heads=1.01", "heads=-0.01", "heads=nan", "heads="])
def test_shares_of_guards_are_from_0_to_1(text: str) -> None:
    with pytest.raises(SettingError, match="is no share: write a number from 0 to 1, or heads=off"):
        parse_guards(text)


@pytest.mark.parametrize("text", ["heads=0.1,heads=0.2", "strict,faces=off, Heads = 1,heads=1"])
def test_a_guard_is_named_once(text: str) -> None:
    with pytest.raises(SettingError, match=r"^guards names heads twice: say it once$"):
        parse_guards(text)


@pytest.mark.parametrize(
    ("text", "ways"),
    [
        ("none", ()),
        (" NEXT , largest ", ("next", "largest")),
        ("pad", ("pad",)),
        ("largest,next,blur", ("largest", "next", "blur")),
        ("skip,", ("skip",)),
    ],
)
def test_fallbacks_are_read_in_order(text: str, ways: tuple[str, ...]) -> None:
    assert parse_fallback(text) == ways


@pytest.mark.parametrize("text", ["none,next", "pad,pad", "skip,next", "blur,largest", "a"])
def test_fallbacks_that_make_no_sense(text: str) -> None:
    with pytest.raises(SettingError) as refused:
        parse_fallback(text)
    assert refused.value.field == "fallback"


def test_safe_areas_by_shape() -> None:
    areas = parse_safe_areas("16:9=caption:0,0.8,1,1; 1:1=circle;*=b-1:0.9,0,1,0.1;circle")
    assert areas == {
        "16:9": SafeArea(covered=((0.0, 0.8, 1.0, 1.0),)),
        "1:1": SafeArea(is_circle=True),
        "*": SafeArea(covered=((0.9, 0.0, 1.0, 0.1),)),
    }
    assert safe_area_of(parse_shape("16:9"), areas).covered == (
        (0.0, 0.8, 0.9, 1.0), (0.9, 0.0, 1.0, 0.1), (0.9, 0.8, 1.0, 1.0),
    )  # fmt: skip
    assert safe_area_of(parse_shape("1:1"), areas) == SafeArea(True, ((0.9, 0.0, 1.0, 0.1),))
    assert safe_area_of(parse_shape("circle"), areas).is_circle
    assert not safe_area_of(parse_shape("4:3"), areas).is_circle
    assert safe_area_of(parse_shape("4:3"), {}) == WHOLE == SafeArea()
    assert parse_safe_areas(" ; ") == {}
    assert parse_safe_areas("16 : 9=a:0,0,1,0.5") == parse_safe_areas("16:9=a:0,0,1,0.5")


def area_of(area: SafeArea) -> float:
    return sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in area.covered)


def test_rectangles_that_overlap_count_once() -> None:
    """Two squares of .25 that share .0625; one inside another; two that touch."""
    both = parse_safe_areas("1:1=a:0,0,0.5,0.5;1:1=b:0.25,0.25,0.75,0.75")["1:1"]
    assert area_of(both) == pytest.approx(0.25 + 0.25 - 0.0625)
    inside = parse_safe_areas("1:1=a:0,0,1,0.5;1:1=b:0.25,0.25,0.5,0.5")["1:1"]
    assert area_of(inside) == pytest.approx(0.5)
    touching = parse_safe_areas("1:1=a:0,0,0.5,0.5;1:1=b:0.5,0,1,0.5")["1:1"]
    assert area_of(touching) == pytest.approx(0.5)
    round_one = parse_safe_areas("1:1=circle;1:1=a:0,0,0.5,0.5")["1:1"]
    assert (round_one.is_circle, area_of(round_one)) == (True, 0.25)


@pytest.mark.parametrize(
    "text",
    ["1:1=a:0,0,1,0.5;1:1=b:0,0.5,1,0.999", "*=a:0,0,1,0.5;1:1=b:0,0.6,1,1",
     "16:9=a:0,0,1,0.5;1:1=b:0,0.5,1,1", "1:1=a:0.1,0,1,1;1:1=b:0,0.1,1,1",
     # the free corner (.147, .147) lies .4992 off the centre, inside the circle's rim
     "circle=a:0.147,0,1,1;circle=b:0,0.147,1,1"],
)  # fmt: skip
def test_some_of_a_crop_is_left(text: str) -> None:
    assert parse_safe_areas(text)


def test_areas_of_earlier_runs_that_hide_all_are_still_read() -> None:
    both = stored_safe_areas("1:1=a:0,0,1,0.5;1:1=b:0,0.5,1,1")["1:1"]
    assert both.hides_all
    assert area_of(both) == 1.0


@pytest.mark.parametrize(
    "text",
    ["1:1=a:0,0,1", "1:1=a:0,0,1,1,1", "1:1=a b:0,0,0.5,0.5", "1:1=a:-0.1,0,1,0.5",
     "1:1=a:0,0,1.1,0.5", "1:1=a:0.5,0,0.5,1", "1:1=a:0,0.6,1,0.5", "1:1=a:0,0,1,1", "1:1",
     "free areas=a:0,0,0.5,1", "=a:0,0,0.5,1",
     "1:1=a:0,0,1,0.5;1:1=b:0,0.5,1,1", "*=a:0,0,1,0.5;1:1=b:0,0.4,1,1", "*=a:0,0,1,1",
     "*=a:0,0,0.1,1;*=b:0.1,0,1,1", "1:1=a:0,0,0.7,0.7;1:1=b:0.7,0,1,1;1:1=c:0,0.7,0.7,1",
     # nothing but corners is free, which lie .566 (.1, .1) or .502 (.145, .145) off the centre
     "circle=a:0.1,0,1,1;circle=b:0,0.1,1,1", "1:1=circle;1:1=a:0.1,0,1,1;1:1=b:0,0.1,1,1",
     "*=a:0.145,0,1,1;*=b:0,0.145,1,1", "*=a:0.1,0,1,1;4:3=b:0,0.1,1,1;4:3=circle"],
)  # fmt: skip
def test_safe_areas_that_are_none(text: str) -> None:
    with pytest.raises(SettingError) as refused:
        parse_safe_areas(text)
    assert refused.value.field == "safe_areas"


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("s3://b/a/b%20c.jpg", "a/b%20c.jpg"),
        ("/data/in/a.jpg", "data/in/a.jpg"),
        ("file:///data/a.jpg", "data/a.jpg"),
        ("file://in/a.jpg", "in/a.jpg"),
        ("FILE:///data/a%20b%25%E9.jpg", "data/a b%\udce9.jpg"),
        ("https://h/a%20b%25%E9.jpg?w=1#x", "a b%\udce9.jpg"),
        ("HTTP://h/a?b?c", "a"),
        ("s3://b/a?b#c.jpg", "a?b#c.jpg"),
        ("s3://b", ""),
    ],
)
def test_the_key_of_an_address(uri: str, key: str) -> None:
    assert object_key(uri) == key


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("aB9_-=", "aB9_-="),
        ("a b", "a%20b"),
        ("a/b:c", "a%2Fb%3Ac"),
        ("a.b", "a.b"),
        (".a", "%2Ea"),
        ("a..b", "a.%2Eb"),
        ("é名", "é名"),
        ("e\u0301", "e\u0301"),
        ("%", "%25"),
        ("\udcff", "%FF"),
        ("", ""),
    ],
)
def test_a_value_as_one_part_of_a_name(value: str, text: str) -> None:
    assert escaped(value) == text


def name_of(template: str, uri: str = "s3://b/in/x.y/a b.jpg", **columns: Any) -> str:
    return parse_crop_names(template).name(uri, "id7", columns, "16:9", 3, "webp", "f" * 64)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{folder}/{stem}/{ratio}.{format}", "in/x.y/a%20b/16x9.webp"),
        ("{key}", "in/x.y/a%20b.jpg"),
        ("{name}-{rank}", "a%20b.jpg-3"),
        ("t/{id}_{hash}", f"t/id7_{'f' * 64}"),
        ("{column:user}/{id}/", "7/id7"),
        ("{id}//x", "id7/x"),
    ],
)
def test_names_of_crops(template: str, name: str) -> None:
    assert name_of(template, user=7) == name


def test_a_file_without_an_ending_is_its_own_stem() -> None:
    assert name_of("{stem}", "s3://b/photo") == "photo"
    assert name_of("{stem}", "s3://b/a.b.jpg") == "a.b"
    assert name_of("{folder}/{stem}", "s3://b/photo") == "photo"


def test_empty_parts_of_a_key_are_left_out_of_names() -> None:
    assert name_of("{key}", "s3://b//a///b.jpg") == "a/b.jpg"
    assert name_of("{folder}-{stem}", "s3://b/a//b.jpg") == "a-b"


def test_fields_and_columns_of_a_template() -> None:
    names = parse_crop_names("{column:b}/{column:a}/{id}.{format}")
    assert names.fields == {"column:b", "column:a", "id", "format"}
    assert names.columns == ["a", "b"]
    assert names.text == "{column:b}/{column:a}/{id}.{format}"


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{id", "has '{'; text around fields"),
        ("a b/{id}", "has 'a b/'; text around"),
        ("{colour}", r"\{colour\} is unknown: write one of folder, name, stem, key, ratio"),
        ("{column:}", "is unknown"),
        ("{ratio}.{format}", "names no photo"),
        ("/{id}", "names lie below the output: leave out the first slash"),
        (".x/{id}", "no part may begin with a dot"),
        ("a/.{id}", "no part may begin with a dot"),
        ("a/_{id}", "no part may begin with a dot or an underscore"),
    ],
)
def test_templates_that_make_no_sense(template: str, told: str) -> None:
    with pytest.raises(SettingError, match=told) as refused:
        parse_crop_names(template)
    assert refused.value.field == "crop_files"


def test_an_underscore_at_the_front_of_a_part_is_encoded() -> None:
    """As cameras call files. Many readers of tables pass over such files and folders."""
    assert name_of("{folder}/{stem}.{format}", "s3://b/_in/a_b/_DSC_1.jpg") == (
        "%5Fin/a_b/%5FDSC_1.webp"
    )
    assert name_of("x{stem}", "s3://b/_a.jpg") == "x_a"
    assert name_of("{stem}", "s3://b/%5Fa.jpg") == "%255Fa"


def test_a_name_that_no_store_takes() -> None:
    stem = "k" * (LONGEST_PART - 4)
    assert name_of("{id}/{stem}.jpg", f"s3://b/{stem}") == f"id7/{stem}.jpg"
    with pytest.raises(ValueError, match=r"205 bytes and 201 between .* 900 and 200 .* by \{id\}"):
        name_of("{id}/{stem}.jpg", f"s3://b/{stem}k")
    folders = "/".join(["d" * 99] * 9)  # 899 bytes
    assert len(name_of("{folder}", f"s3://b/{folders}/a")) == LONGEST_NAME - 1
    assert len(name_of("{folder}", f"s3://b/{folders}d/a")) == LONGEST_NAME
    with pytest.raises(ValueError, match="901 bytes and 101 between"):
        name_of("{folder}", f"s3://b/{folders}dd/a")
    with pytest.raises(ValueError, match="its name is empty"):
        name_of("{folder}", "s3://b/a")
    for value in (None, ""):
        with pytest.raises(ValueError, match="its column user is empty"):
            name_of("{column:user}", user=value)


def test_crops_of_one_photo_have_different_names() -> None:
    check_distinct(parse_crop_names("{id}"), ["1:1"], 1)
    check_distinct(parse_crop_names("{hash}"), ["1:1", "16:9"], 5)
    check_distinct(parse_crop_names("{id}{ratio}{rank}"), ["1:1", "16:9"], 5)
    for template, ratios, top_k, told in (
        ("{id}", ["1:1", "16:9"], 1, r"one name: add \{ratio\}"),
        ("{id}/{ratio}", ["1:1", "16:9"], 2, r"one name: add \{rank\}"),
        ("{id}/{ratio}", ["1:1", "1x1"], 1, "gives two of the shapes 1:1, 1x1 one name"),
        ("{id}/{ratio}", ["3/2", "3:2"], 1, "gives two of the shapes 3/2, 3:2 one name"),
    ):
        with pytest.raises(SettingError, match=told):
            check_distinct(parse_crop_names(template), ratios, top_k)


def test_photos_have_different_names() -> None:
    def check(template: str, *uris: str, **columns: Any) -> None:
        rows = [{"uri": uri, "image_id": uri[-3:], **columns} for uri in uris]
        check_photos(parse_crop_names(template), rows, "1:1", "webp")

    check("{stem}", "s3://b/a.jpg", "s3://b/b.jpg", "s3://b/a.jpg")
    check("{hash}", "s3://b/a.jpg", "s3://b/a.png")
    check("{name}", "s3://b/a.jpg", "s3://b/a.png")
    with pytest.raises(SettingError, match=r"two photos the name 'a': s3://b/a.jpg and s3://b/x/a"):
        check("{stem}", "s3://b/a.jpg", "s3://b/x/a.png")
    with pytest.raises(
        SettingError, match=r"two photos the name '7': s3://b/7.jpg and s3://b/7.png"
    ):
        check("{stem}", *(f"s3://b/{n}.jpg" for n in range(50)), "s3://b/7.png")
    with pytest.raises(SettingError, match="names the column 'user', not in the list") as refused:
        check("{column:user}", "s3://b/a.jpg")
    assert refused.value.field == "crop_files"
    check("{stem}", "s3://b/_a.jpg", "s3://b/%5Fa.jpg", "s3://b/a.jpg")
    with pytest.raises(SettingError, match=r"^crop_files makes no name for s3://b/a"):
        check("{folder}", "s3://b/a.jpg")
    # One file's name has a byte that is no UTF-8, and the other's spells it.
    check("{stem}", "file:///in/caf%E9.jpg", "/in/caf%E9.jpg")


def test_a_name_is_no_folder_of_another_where_names_are_files() -> None:
    def check(template: str, *uris: str) -> None:
        rows = [{"uri": uri, "image_id": uri[-3:]} for uri in uris]
        check_photos(parse_crop_names(template), rows, "1:1", "webp", as_files=True)

    both = ("s3://b/a.jpg", "s3://b/a.jpg.jpg", "s3://b/a.jpg/b.jpg")
    for uris in (both, both[::-1], (*both, "s3://b/c/d.jpg")):
        with pytest.raises(
            SettingError, match=r"makes 'a.jpg' a file, of s3://b/a.jpg, and a folder"
        ):
            check("{key}", *uris)
    with pytest.raises(SettingError, match=r"'x/a' a file, of s3://b/a.jpg, .* s3://b/a/b/c.jpg;"):
        check("x/{folder}/{stem}", "s3://b/a.jpg", "s3://b/a/b/c.jpg")
    check("{key}/{ratio}.{format}", *both)
    check("{key}", "s3://b/a", "s3://b/ab/c", "s3://b/b/a")
    rows = [{"uri": uri, "image_id": uri[-3:]} for uri in both]
    check_photos(parse_crop_names("{key}"), rows, "1:1", "webp")  # a bucket holds both


def test_settings_of_one_meaning_are_spelt_in_one_way() -> None:
    plain = Settings.of(guards="Strict", fallback=" next , pad").cropping.canonical()
    assert (plain.guards, plain.fallback) == (
        "heads=0.1,faces=0.1,text=cut,subject=off", "next,pad",
    )  # fmt: skip
    assert Settings.of(fallback="none").cropping.canonical().fallback == "none"
    boxes = Settings.of(boxes_only=True, thumbnail_size=9, quality=3).thumbnails.canonical()
    assert (boxes.thumbnail_size, boxes.quality, boxes.boxes_only) == (9, 80, True)
    files = Settings.of(crop_files=True).thumbnails
    assert (files.crop_names, files.canonical()) == (None, files)
    named = Settings.of(crop_files="{id}/{ratio}").thumbnails.crop_names
    assert named is not None
    assert named.text == "{id}/{ratio}"


@pytest.mark.parametrize("text", ["fffff", "fffffff", "gggggg", "", "ffff"])
def test_a_colour_has_three_parts(text: str) -> None:
    with pytest.raises(SettingError, match="must be six hex digits"):
        Settings.of(background=text)


def test_shares_of_a_gpu() -> None:
    for share in (0.0, 0.25, 1.0, 2.0):
        assert Settings.of(gpus_per_actor=share).running.gpus_per_actor == share
    with pytest.raises(SettingError, match="a fraction below 1 or a whole number"):
        Settings.of(gpus_per_actor=2.5)


def test_what_cannot_be_asked_for_together() -> None:
    for together in ({"resume": "a", "retry": "b"}, {"resume": "a", "overrides": "o.csv"}):
        with pytest.raises(SettingError):
            Settings.of(**together)
    assert Settings.of(resume="a").input.resume == "a"
    assert Settings.of(retry="b", overrides="o.csv").input.retry == "b"
    for columns in ("x,", ",y", "x,y,z", "x,x"):
        with pytest.raises(SettingError, match=r"^focus_columns are two names"):
            Settings.of(focus_columns=columns)
    assert Settings.of(focus_columns=" x , y ").input.focus == ("x", "y")
    assert Settings().input.focus is None
    chosen = Settings.of(include="*.jpg, *.png,", exclude=" a/** ").input.selection
    assert (chosen.include, chosen.exclude) == (("*.jpg", "*.png"), ("a/**",))
    with pytest.raises(SettingError, match=r"^channel 'a/b' is no name"):
        Settings.of(channel="a/b")
    with pytest.raises(SettingError, match=r"^gate 'x' is no term"):
        Settings.of(gate="x")
