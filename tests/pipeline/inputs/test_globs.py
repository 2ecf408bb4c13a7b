"""What a pattern of addresses matches, and what it does not."""

import pytest

from pipeline.errors import UsageError
from pipeline.inputs.globs import is_pattern, literal_prefix, regex_of


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
