"""Choose among the files of an input by their names."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from pipeline.inputs.globs import regex_of
from pipeline.storage.addresses import s3_spelling

# Files that are next to photos in every bucket. Anything else is taken, whatever its name.
TEXTS = re.compile(
    r".*\.(txt|md|json|jsonl|ndjson|csv|tsv|xml|html?|css|js|ya?ml|ini|log|toml|parquet|"
    r"xlsx?|gz|zip|db)",
    re.IGNORECASE | re.DOTALL,
)

NOT_INCLUDED = "match no --include"
EXCLUDED = "match --exclude"
NO_PHOTO = "are text or data by their names"


@dataclass(frozen=True)
class Selection:
    """Which addresses are taken: those that match `include` and do not match `exclude`.

    Without `include`, all except texts and data (TEXTS). A pattern (see `globs`) is compared with
    the last parts of an address: `*.jpg` with the name, `2026/*/*.jpg` with the last three. A
    pattern that begins with `/` or a scheme is compared with the whole address.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def reason(self, uri: str) -> str | None:
        """Return why an address is not taken, as a phrase; None where it is taken."""
        if self.include and not any(matches(uri) for matches in self._included):
            return NOT_INCLUDED
        if any(matches(uri) for matches in self._excluded):
            return EXCLUDED
        if not self.include and TEXTS.fullmatch(uri):
            return NO_PHOTO
        return None

    def excludes_all_of(self, folder: str) -> bool:
        """Return whether nothing below a folder, whose address ends in a slash, is taken.

        This is so if a pattern of `exclude` that ends in `**` matches it.
        """
        return any(matches(folder) for matches in self._excluded_whole)

    @cached_property
    def _included(self) -> list[Callable[[str], object]]:
        return [_matcher(pattern) for pattern in self.include]

    @cached_property
    def _excluded(self) -> list[Callable[[str], object]]:
        return [_matcher(pattern) for pattern in self.exclude]

    @cached_property
    def _excluded_whole(self) -> list[Callable[[str], object]]:
        return [_matcher(pattern) for pattern in self.exclude if pattern.endswith("**")]


def _matcher(pattern: str) -> Callable[[str], object]:
    pattern = s3_spelling(pattern)
    is_whole = pattern.startswith("/") or "://" in pattern
    return regex_of(pattern if is_whole else f"**/{pattern}").fullmatch
