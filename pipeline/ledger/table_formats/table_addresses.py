"""Which addresses of outputs the libraries of table formats misread.

deltalake decodes percent signs and reads backslashes as slashes, also in an address that is encoded
for it. pyiceberg takes # and ? for the end of a path and decodes nothing. Both drop or refuse
control characters, and in buckets both refuse empty parts; there, deltalake too ends at # and ?.
"""

import re
from typing import Literal

from pipeline.errors import UsageError
from pipeline.storage.addresses import absolute_path, local_path, scheme_of
from pipeline.storage.store import Store

TableFormat = Literal["Delta", "Iceberg"]
_CONTROL = r"[\x00-\x1f\x7f]"
_MISREAD: dict[tuple[TableFormat, bool], str] = {  # by format, and whether it is a folder
    ("Delta", True): rf"%[0-9A-Fa-f]{{2}}|\\|{_CONTROL}",
    ("Delta", False): rf"%[0-9A-Fa-f]{{2}}|[#?]|//|{_CONTROL}",
    ("Iceberg", True): rf"[#?]|{_CONTROL}",
    ("Iceberg", False): rf"[#?]|//|{_CONTROL}",
}


def misread_part(store: Store, format: TableFormat) -> str | None:
    """Return what the format's library misreads in the output's address; None for nothing."""
    is_folder = scheme_of(store.uri) == "file"
    if is_folder:
        path = str(absolute_path(local_path(store.uri)))
    else:
        path = store.uri.partition("://")[2].rstrip("/")
    found = re.search(_MISREAD[format, is_folder], path)
    return found and found[0]


def refuse_misread_address(store: Store, format: TableFormat) -> None:
    """Raise UsageError where the format's library would look for tables in another place."""
    if (part := misread_part(store, format)) is not None:
        raise UsageError(
            f"{format} tables cannot be in {store.uri!r}: their readers take {part!r} in an "
            "address for something else. Rename the output, and publish then"
        )
