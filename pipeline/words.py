"""Wording of messages for people."""

import shlex


def counted(number: float, one: str, several: str | None = None) -> str:
    """Format a number with its noun, such as 1 photo, 1,200 photos, 1.5 cores.

    one, several: the noun for 1, and for any other number; None adds an s.
    """
    amount = f"{number:,}" if isinstance(number, int) else f"{number:,g}"
    return f"{amount} {one if number == 1 else several or f'{one}s'}"


def runs_command(command: str, output: str, *words: str) -> str:
    """Quote a command of `runs.py` as a person can type it: `runs.py promote thumbs/ 1a2b3c`.

    output: address of the output. words: the run's id and options.
    """
    return f"`{shlex.join(['runs.py', command, output, *words])}`"
