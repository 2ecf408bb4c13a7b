"""Read glob patterns of addresses: `*` and `?` keep to one level, `**` does not, [abc] is a set.

A character that would mean something else stands for itself in brackets: `[*]`, `[?]`, `[[]`.
"""

import re

from pipeline.errors import UsageError

SPECIAL = re.compile(r"[*?\[]")
_PARTS = re.compile(r"(\*\*/?|\*|\?|\[[^\]]+\])")
_WORDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def is_pattern(text: str) -> bool:
    """Whether a text has a character that means something in a pattern."""
    return SPECIAL.search(text) is not None


def literal_prefix(pattern: str) -> str:
    """What every address that matches begins with: the text before the first special character."""
    return SPECIAL.split(pattern, maxsplit=1)[0]


def regex_text(pattern: str) -> str:
    """The regular expression of a pattern, in the syntax that Python and RE2 share.

    It is to match the whole address, and a dot to match a line break too. Raises UsageError for a
    set of characters that is none, such as `[z-a]`.
    """
    text = "".join(_WORDS.get(part) or _literal_or_set(part) for part in _PARTS.split(pattern))
    try:
        re.compile(text)
    except re.error as error:
        raise UsageError(f"{pattern!r} is not a pattern: {error}") from error
    return text


def regex_of(pattern: str) -> re.Pattern[str]:
    """The same, compiled; use `fullmatch`. Raises UsageError."""
    return re.compile(regex_text(pattern), re.DOTALL)


def _literal_or_set(part: str) -> str:
    if not (part.startswith("[") and part.endswith("]") and len(part) > 2):
        return re.escape(part)
    inner = part[1:-1].replace("\\", r"\\").replace("[", r"\[")
    return "[" + ("^" + inner[1:] if inner[0] == "!" else inner) + "]"
