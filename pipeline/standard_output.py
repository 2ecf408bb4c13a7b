"""Handle a standard output that takes no more text: a reader that is gone, or a full disk."""

import os
from contextlib import suppress
from typing import TextIO

READER_GONE = 141  # exit code, as in shells: 128 + SIGPIPE


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
