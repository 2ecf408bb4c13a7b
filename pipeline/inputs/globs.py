"""Read glob patterns: `*` and `?` match within one level, `**` across levels, [abc] is a set.

A special character stands for itself in brackets: `[*]`, `[?]`, `[[]`.
"""

import re

from pipeline.errors import UsageError

SPECIAL = re.compile(r"[*?\[]")
_PARTS = re.compile(r"(\*\*/?|\*|\?|\[[^\]]+\])")
_WORDS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def is_pattern(text: str) -> bool:
    """Return whether a text has one of the characters `*`, `?` and `[`."""
    return SPECIAL.search(text) is not None


def literal_prefix(pattern: str) -> str:
    """Return the text before the first special character, which every match begins with."""
    return SPECIAL.split(pattern, maxsplit=1)[0]


def regex_text(pattern: str) -> str:
    """Return a pattern as a regular expression, in the syntax that Python and RE2 share.

    It applies to the whole address (`fullmatch`), with a dot that matches line breaks too
    (`re.DOTALL`). Raises UsageError for a wrong set of characters, such as `[z-a]`.
    """
    text = "".join(_WORDS.get(part) or _literal_or_set(part) for part in _PARTS.split(pattern))
    try:
        re.compile(text)
    except re.error as error:
        raise UsageError(f"{pattern!r} is not a pattern: {error}") from error
    return text


def regex_of(pattern: str) -> re.Pattern[str]:
    """Compile `regex_text`; use `fullmatch`. Raises UsageError."""
    return re.compile(regex_text(pattern), re.DOTALL)


def folders_of(pattern: str) -> list[str]:
    """Return patterns of the folders below which a pattern may match, from the top down.

    Each matches one level's folders with a slash at their ends. Where the level is not known, after
    `**` or a set that contains a slash, the last one ends in `**` and matches all that follows.
    """
    found, head = [], ""
    for number, part in enumerate(_PARTS.split(pattern)):
        if number % 2 == 0:  # a literal text; special parts are between those
            found += [head + part[: slash.end()] for slash in re.finditer("/", part)]
        elif part.startswith("**") or (part[0] == "[" and regex_of(part).fullmatch("/")):
            return [*found, f"{head}**"]
        head += part
    return found


def folder_regex_of(pattern: str) -> re.Pattern[str]:
    """Compile `folders_of`; use `fullmatch`. Raises UsageError."""
    return re.compile("|".join(map(regex_text, folders_of(pattern))), re.DOTALL)


def _literal_or_set(part: str) -> str:
    if not (part.startswith("[") and part.endswith("]") and len(part) > 2):
        return re.escape(part)
    inner = part[1:-1].replace("\\", r"\\").replace("[", r"\[")
    return "[" + ("^" + inner[1:] if inner[0] == "!" else inner) + "]"
