"""Tell whether an address is one that an input could have listed."""

from collections.abc import Callable
from pathlib import Path

from pipeline.inputs.globs import is_pattern, regex_of
from pipeline.inputs.lists import is_list
from pipeline.storage.addresses import local_path, s3_spelling, scheme_of


def lies_in(input_uri: str) -> Callable[[str], bool]:
    """Whether an address belongs to a folder, a prefix or a glob; to a list belongs every one.

    As `listing` reads it: a prefix may have characters of a glob, s3a:// is s3://.
    """
    input_uri = s3_spelling(input_uri)
    if is_list(input_uri):
        return lambda uri: True
    if scheme_of(input_uri) != "file":
        if is_pattern(input_uri):
            pattern = regex_of(input_uri)
            return lambda uri: uri.startswith(input_uri) or pattern.fullmatch(uri) is not None
        return lambda uri: uri.startswith(input_uri)
    path = local_path(input_uri)
    whole = str(Path(path).absolute())
    if is_pattern(path) and not Path(path).exists():
        pattern = regex_of(whole)
        return lambda uri: pattern.fullmatch(local_path(uri)) is not None
    return lambda uri: local_path(uri) == whole or local_path(uri).startswith(f"{whole}/")
