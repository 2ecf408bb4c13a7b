"""Count the frames of a picture, as its file states them, without decoding more than one."""

from PIL import Image

MOST_FRAMES = 100_000  # a file may state any number; higher ones count as this
_MOST_BLOCKS = 2_000_000  # blocks of a GIF that are walked, each one step of a loop

EXTENSION, IMAGE, _HAS_TABLE = 0x21, 0x2C, 0x80


def frame_count(opened: Image.Image, data: bytes, format: str) -> int:
    """Return how many frames an opened picture has, 1 to MOST_FRAMES.

    HEIC files may hold several pictures, none of which is a frame of another.
    """
    if format == "gif":
        return gif_frame_count(data)
    if format in ("png", "webp", "avif"):
        stated = int(getattr(opened, "n_frames", 1))
        if getattr(opened, "default_image", False):  # an APNG's default image is not a frame
            stated -= 1
        return max(1, min(MOST_FRAMES, stated))
    return 1


def gif_frame_count(data: bytes) -> int:
    """Count the pictures of a GIF; if it is cut short, those up to its end.

    Pillow would seek through all frames, which takes long for hostile files. Layout: GIF89a
    specification, appendix A.
    """
    at = 13 + table_bytes(data[10] if len(data) > 10 else 0)
    frames = blocks = 0
    while at < len(data) and blocks < _MOST_BLOCKS and frames < MOST_FRAMES:
        if data[at] == EXTENSION:
            at += 2
        elif data[at] == IMAGE and at + 9 < len(data):
            frames += 1
            at += 11 + table_bytes(data[at + 9])  # descriptor, colours, size of the first code
        else:  # the trailer, or invalid data
            break
        while at < len(data) and data[at] and blocks < _MOST_BLOCKS:
            at += 1 + data[at]
            blocks += 1
        at += 1
        blocks += 1
    return max(1, frames)


def table_bytes(packed: int) -> int:
    """Return a colour table's size in bytes, by the packed field of the descriptor before it."""
    return 3 << (1 + (packed & 7)) if packed & _HAS_TABLE else 0
