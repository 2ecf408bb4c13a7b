"""List the files of a local folder or glob, under addresses that survive any file name."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from pipeline.errors import UsageError
from pipeline.inputs.globs import is_pattern, literal_prefix, regex_of
from pipeline.storage.backend import ObjectInfo
from pipeline.storage.local import file_etag


def walk(path: str) -> Iterator[tuple[str, ObjectInfo]]:
    """(path, info) of the regular files below a folder or matching a glob; links to folders not."""
    root = Path(literal_prefix(path)).absolute()
    if is_pattern(path) and not Path(path).exists():
        keep, root = regex_of(str(Path(path).absolute())), (root if root.is_dir() else root.parent)
    else:
        keep, root = None, Path(path).absolute()
    if root.is_file():
        yield local_uri(root), file_info(root)
    elif not root.exists():
        raise UsageError(f"nothing found in {path!r}: there is no such folder; check the address")
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in names:
            file = Path(folder, name)
            if name.startswith(".") or not file.is_file():
                continue
            if keep is None or keep.fullmatch(str(file)):
                yield local_uri(file), file_info(file)


def file_info(path: Path) -> ObjectInfo:
    """Size, time and, made of both, the ETag of a file."""
    status = path.stat()
    return ObjectInfo(str(path), status.st_size, file_etag(status), status.st_mtime)


def local_uri(path: Path) -> str:
    """The path itself, or a file:// address where its name is not valid UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "file://" + quote(os.fsencode(path))
    return str(path)


def local_bytes(uri: str) -> bytes:
    """The path of a plain or a file:// address, as the operating system takes it."""
    if uri.lower().startswith("file://"):
        return unquote_to_bytes(uri[len("file://") :])
    return os.fsencode(uri)
