"""Turn what libraries raise for a malformed file into a DecodeError."""

import os
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from pipeline.errors import DecodeError
from pipeline.photo.files.formats import is_cut_short

# Warnings that do not concern the pixels: about EXIF blocks, which Pillow reads as TIFF, and APNG.
# Each is (message, category, module), as `warnings.filterwarnings` takes them.
_HARMLESS = (
    ("", Warning, r"PIL\.TiffImagePlugin"),
    ("Invalid APNG", UserWarning, ""),
    ("Possibly corrupt EXIF", UserWarning, ""),
)

# What Pillow and the libraries under it raise for a malformed file.
MALFORMED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    AttributeError,
    AssertionError,
    Warning,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class _Filters:
    """The lock on the process's filters of warnings; a forked child gets a free one."""

    def __init__(self) -> None:
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.lock = threading.RLock()


_FILTERS = _Filters()


@contextmanager
def as_decode_errors(data: bytes, name: str) -> Iterator[None]:
    """Convert errors and warnings that libraries raise for a malformed file to a DecodeError.

    The filters of warnings belong to the process, so one thread at a time changes them.
    """
    try:
        with _FILTERS.lock, warnings.catch_warnings():
            warnings.simplefilter("error")
            for where in _HARMLESS:
                warnings.filterwarnings("ignore", *where)
            yield
    except DecodeError:
        raise
    except MemoryError as error:
        raise DecodeError("too_much_memory", f"decoding this {name} needs too much") from error
    except MALFORMED as error:
        if is_cut_short(data, name):
            raise DecodeError("truncated", f"{name}: it ends early ({_one_line(error)})") from error
        raise DecodeError("corrupt", f"{name}: it is damaged ({_one_line(error)})") from error


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text or type(error).__name__)[:200]
