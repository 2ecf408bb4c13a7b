"""Commands made from dataclasses: what is parsed, shown and refused."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeline.code_version import RELEASE
from pipeline.command_line import option_tables, parser_of, run
from pipeline.errors import LedgerError, SettingError, UsageError
from pipeline.options import check, option
from pipeline.shown_options import flag


@dataclass(frozen=True)
class Paint:
    """How it is painted.

    Not shown.
    """

    coat_size: int = option(3, "layers beside `dry_s`", "px", least=1)
    gloss: Literal["low", "high"] = option("low", "`high` shines 100 %")
    dry_s: float = option(2.0, "waiting time", "s")
    seed: int = option(0, "of the drops")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class House:
    """A house."""

    names: tuple[Literal["one", "two"], ...] = option(help="which", positional=True)
    where: Path = option(help="its folder", placeholder="FOLDER")
    cellar: bool = option(False, "with a cellar")
    rooms: int | None = option(None, "number of rooms")
    paint: Paint = field(default_factory=Paint)
    roof: Literal["flat", "steep"] = option("flat", "of which kind", placeholder="KIND")
    owner: str = option("", "whose; default: the town's", placeholder="NAME")


def made(*words: str) -> House:
    seen: list[House] = []
    assert run(House, "About.", lambda house: seen.append(house) or 0, words) == 0  # type: ignore[func-returns-value]
    return seen[0]


def test_every_kind_of_field_is_read() -> None:
    assert made("one", "--where", "a/b") == House(("one",), Path("a/b"))
    words = ["two", "one", "--where=x", "--cellar", "--rooms", "4", "--coat-size", "9"]
    house = made(*words, "--gloss", "high", "--dry-s", "0.5")
    assert house == House(("two", "one"), Path("x"), True, 4, Paint(9, "high", 0.5))


def test_help_shows_units_defaults_placeholders_and_groups() -> None:
    text = parser_of(House, "About.").format_help()
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].endswith("{one,two} ... --where FOLDER [options]")
    assert "About." in lines
    assert "How it is painted:" in lines
    assert "--where FOLDER its folder" in lines
    assert "--coat-size PX layers beside --dry-s (default: 3 px)" in lines
    assert "--gloss {low,high} `high` shines 100 % (default: low)" in lines
    assert "--dry-s S waiting time (default: 2.0 s)" in lines
    assert "--seed N of the drops (default: 0)" in lines
    assert "--cellar with a cellar (default: no)" in lines
    assert "--rooms N number of rooms (default: none)" in lines
    assert "--roof KIND of which kind: flat, steep (default: flat)" in lines
    assert "--owner NAME whose; default: the town's" in lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["one", "--where", "x", "--celar"], "there is no option --celar; did you mean --cellar?"),
        (["one", "--wher=x"], ""),  # the beginning of an option is enough
        (["one", "--were", "x"], "no option --were; did you mean --where?"),
        (["one", "--where", "x", "--zzz"], "there is no option --zzz\n"),
        (["one"], "--where"),
        (["one", "--where", ""], "argument --where: is empty: name a folder or a file\n"),
        (["one", "--where", "s3://b"], "--where: 's3://b' is an address: name a folder or a file"),
        (["one", "--where", "x" * 300], f"argument --where: '{'x' * 40}'… is too long for a name"),
        (["three", "--where", "x"], "three"),
        (["one", "--where", "x", "--rooms", "many"], "many"),
        (["one", "--where", "x", "--gloss", "dull"], "dull"),
        (["one", "--where", "x", "--gloss", "hihg"], "); did you mean high?\n"),
        (["one", "-where", "x"], "there is no option -where; did you mean --where?"),
    ],
)
def test_wrong_words_end_with_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if not message:
        assert made(*words).where == Path("x")
        return
    with pytest.raises(SystemExit) as caught:
        made(*words)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_a_value_that_the_library_refuses_is_named_by_its_flag(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["one", "--where", "x", "--coat-size", "0"]
    assert run(House, "", lambda _: 0, words) == 2
    assert "--coat-size must be at least 1, not 0" in capsys.readouterr().err
    with pytest.raises(SettingError, match=r"^coat_size must be at least 1, not 0$"):
        Paint(coat_size=0)


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [(UsageError("so not"), 2, "so not"), (LedgerError("so not"), 1, "so not"),
     (KeyboardInterrupt(), 130, "stopped")],
)  # fmt: skip
def test_errors_of_the_work_are_one_line_and_a_code(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_: House) -> int:
        raise error

    assert run(House, "", work, ["one", "--where", "x"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith(f": {told}\n")
    assert len(captured.err.splitlines()) == 1


@dataclass(frozen=True)
class Wait(House):
    """Wait a while. And more."""

    long: bool = option(False, "longer")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("--coat-size=3px", "argument --coat-size: '3px' is no whole number: write digits alone"),
        ("--coat-size=1.5", "argument --coat-size: '1.5' is no whole number: write digits alone"),
        ("--coat-size=", "argument --coat-size: '' is no whole number: write digits alone"),
        ("--dry-s=2,5", "argument --dry-s: '2,5' is no number: write digits, with a point in them"),
    ],
)
def test_a_text_in_the_place_of_a_number_is_said_in_plain_words(
    word: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(Paint, "About.", lambda _: 0, [word])
    assert told in capsys.readouterr().err


def test_subcommands_have_their_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []

    def work(command: Any) -> int:
        seen.append(command)
        return 5

    kinds: dict[str, type[Any]] = {"build": House, "wait": Wait}
    assert run(kinds, "", work, ["wait", "one", "--where", "x", "--long"]) == 5
    assert seen == [Wait(("one",), Path("x"), long=True)]
    for words in (["build", "one", "--where", "x", "--long"], [], ["sleep"]):
        with pytest.raises(SystemExit, match="2"):
            run(kinds, "", work, words)
    assert "Wait a while" in parser_of(kinds, "").format_help()
    capsys.readouterr()
    for name, wrong, meant in (
        ("wait", "--logn", "; did you mean --long?"),
        ("build", "--xy", ""),
    ):
        with pytest.raises(SystemExit, match="2"):
            run(kinds, "", work, [name, "one", "--where", "x", wrong])
        errors = capsys.readouterr().err
        assert f"there is no option {wrong}{meant}\n" in errors
        assert f" {name} {{one,two}} ... --where FOLDER [options]\n" in errors, "its own usage"


@pytest.mark.parametrize("kind", [House, {"build": House}])
def test_version(kind: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run(kind, "", lambda _: 0, ["--version"])
    assert capsys.readouterr().out.split()[-1] == RELEASE


def test_flags() -> None:
    assert flag("top_k") == "--top-k"


def test_usage_and_defaults_are_shown_as_they_are_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser_of(House, "About.").parse_args(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert (
        f"usage: {parser_of(House, 'About.').prog} {{one,two}} ... --where FOLDER [options]"
        in shown
    )
    assert "--rooms N number of rooms (default: none)" in shown
    assert "its folder --" in shown  # what must be given has no default
    assert "(default: 2.0 s)" in shown
    rows = option_tables(House)
    assert [row for row in rows["options"] if row[0].startswith("--where")] == [
        ("--where FOLDER", "", "its folder")
    ]
    assert ("--dry-s S", "2.0 s", "waiting time") in rows["How it is painted"]


@dataclass(frozen=True)
class Plain:
    """Numbers without units."""

    share: float = option(0.5, "of it")
    path: Path = option(Path("x"), "where")
    word: str = option("", "which")


def test_a_value_without_a_unit_is_shown_by_its_kind() -> None:
    assert [row[0] for row in option_tables(Plain)["options"]] == [
        "--share NUMBER", "--path PATH", "--word TEXT",
    ]  # fmt: skip


@dataclass(frozen=True)
class Send:
    """Send something."""

    what: str = option(help="what is sent", positional=True)
    speed: Literal["slow", "fast"] = option(help="how fast")
    note: str = option("", "with a note")
    where: str = option("", "default: home", placeholder="PLACE", positional=True)


@pytest.mark.parametrize("words", [
    "a --speed fast b", "a b --speed fast", "--speed fast a b", "--speed fast a -- b",
    "a --speed fast -- b",
])  # fmt: skip
def test_a_word_that_may_be_missing_stands_before_or_behind_the_options(words: str) -> None:
    seen: list[Send] = []

    def work(sent: Send) -> int:
        seen.append(sent)
        return 0

    assert run(Send, "", work, words.split()) == 0
    assert run({"send": Send}, "", work, ["send", *words.split()]) == 0
    assert seen == [Send("a", "fast", where="b")] * 2


@pytest.mark.parametrize(
    ("words", "refused"),
    [("a --speed fast b c", "c"), ("a b --speed fast c", "c"), ("a --speed fast -x", "-x"),
     ("a --speed fast -x b", "-x b"), ("a --speed fast b -x c", "-x c")],
)  # fmt: skip
def test_a_word_too_many_is_named_under_the_usage_of_its_command(
    words: str, refused: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, first in ((Send, []), ({"send": Send}, ["send"])):
        with pytest.raises(SystemExit, match="2"):
            run(kind, "", lambda _: 0, [*first, *words.split()])
        told = capsys.readouterr().err
        usage, error = told.splitlines()
        assert usage.endswith(" ".join([*first, "TEXT --speed {slow,fast} [PLACE] [options]"]))
        assert error.endswith(f"error: unrecognized arguments: {refused}")


def test_a_pattern_that_the_shell_replaced_is_recognised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(tmp_path / f"{number}.jpg") for number in range(6)]
    for file in files:
        Path(file).touch()
    with pytest.raises(SystemExit, match="2"):
        run(Send, "", lambda _: 0, ["a", "--speed", "fast", *files])
    told = capsys.readouterr().err
    assert f"arguments: {' '.join(files[1:4])} …; put a pattern in quotes" in told
    assert files[4] not in told
