"""Wording of messages for people."""


def counted(number: int, one: str, several: str | None = None) -> str:
    """Format a number with its noun, such as 1 photo, 1,200 photos.

    one, several: the noun for 1, and for any other number; None adds an s.
    """
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
