"""What a glob of addresses matches, and what it does not."""

import pytest

from pipeline.errors import UsageError
from pipeline.inputs.globs import folder_regex_of, folders_of, is_pattern, literal_prefix, regex_of


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("[bc", "[bc", "b"),
        ("bc]", "bc]", "c"),
        ("[]", "[]", "["),
        ("a[1]", "a1", "a[1]"),
        (r"[\d]", "\\", "5"),
        (r"[\d]", "d", "\\d"),
        ("[!ab]", "c", "a"),
        ("[a!]", "!", "c"),
        ("[[]x", "[x", "x"),
        ("**/x", "x", "ax"),
        ("**/x", "a/b/x", "a/bx"),
        ("a/**", "a/b/c", "b/a/c"),
        ("a/*", "a/b", "a/b/c"),
        ("a?c", "abc", "a/c"),
        ("**", "line\nbreak", ""),
        ("a.b", "a.b", "axb"),
    ],
)
def test_what_a_pattern_matches(pattern: str, yes: str, no: str) -> None:
    assert regex_of(pattern).fullmatch(yes)
    assert not regex_of(pattern).fullmatch(no) or no == ""


def test_what_makes_a_pattern_and_what_stands_before_it() -> None:
    assert [is_pattern(text) for text in ("a*", "a?", "[a", "a]", "a.b")] == [True] * 3 + [
        False
    ] * 2
    assert literal_prefix("s3://b/a[1]/*.jpg") == "s3://b/a"
    assert literal_prefix("s3://b/plain") == "s3://b/plain"
    with pytest.raises(UsageError, match=r"'\[z-a\]' is not a pattern: bad character range"):
        regex_of("[z-a]")


@pytest.mark.parametrize(
    ("pattern", "folders", "yes", "no"),
    [
        ("/d/*.jpg", ["/", "/d/"], "/d/", "/d/x/"),
        ("/d/20*/?/*.jpg", ["/", "/d/", "/d/20*/", "/d/20*/?/"], "/d/2026/1/", "/d/2026/11/"),
        ("/d/**/*.jpg", ["/", "/d/", "/d/**"], "/d/a/b/", "/e/"),
        ("/d/a**b/x", ["/", "/d/", "/d/a**"], "/d/a1/2/", "/d/b/"),
        ("in/[ab]/x", ["in/", "in/[ab]/"], "in/a/", "in/c/"),
        ("in/[!/a]/[[]/x", ["in/", "in/[!/a]/", "in/[!/a]/[[]/"], "in/b/[/", "in/a/"),
        ("in/x[!a]y", ["in/", "in/x**"], "in/x/", "in/y/"),  # `/` is no `a`
        ("[a/b", ["[a/"], "[a/", "a/"),
        ("*.jpg", [], "", "a/"),
    ],
)
def test_which_folders_lead_to_what_a_pattern_matches(
    pattern: str, folders: list[str], yes: str, no: str
) -> None:
    assert folders_of(pattern) == folders
    assert folder_regex_of(pattern).fullmatch(yes)
    assert not folder_regex_of(pattern).fullmatch(no)
