"""Handle characters and text that standard output does not take, such as text on a full disk."""

import io
import os
from contextlib import suppress
from typing import TextIO

READER_GONE = 141  # exit code, as in shells: 128 + SIGPIPE


def take_all_characters(stream: TextIO, for_programs: bool = False) -> None:
    r"""Make a stream take characters that its encoding lacks, such as those of a file's name.

    for_programs: what is written next is for programs, so that it is UTF-8 whatever the locale;
        else a missing character is written as an escape (`caf\xe9`). In UTF-8 only the bytes of
        a name that is not UTF-8 become escapes (`\udce9`), which JSON can read.
    """
    if isinstance(stream, io.TextIOWrapper):  # not what a program may have put in its place
        stream.reconfigure(encoding="utf-8" if for_programs else None, errors="backslashreplace")


def output_problem(error: OSError) -> OSError | None:
    """Return why standard output takes no more text; None if it does, so that `error` is another.

    Tries it with a line break, since a stream without a buffer does not remember its failure.
    """
    if isinstance(error, BrokenPipeError):
        return error
    try:
        print(flush=True)
    except OSError as found:
        return found
    return None


def discard_output(stream: TextIO) -> None:
    """Discard what is still in a stream's buffer and what follows, by the null device.

    Otherwise Python's own flush at exit fails, and the process ends with 120.
    """
    with suppress(OSError, ValueError):  # ValueError: closed
        descriptor = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)
