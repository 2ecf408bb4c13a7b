"""Write files so that a process that is killed leaves the old one or the new one, never half."""

import os
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write or replace a file. Until it is whole, its content is in `<name>.part` beside it."""
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # the content is on disk before the name is
    unfinished.replace(path)
