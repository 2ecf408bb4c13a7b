"""Decode what a program gives as a photo: a file's bytes, a path or a Pillow image."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from pipeline.errors import UsageError
from pipeline.photo.decoded import Photo
from pipeline.photo.pillow_image import photo_of_image
from pipeline.photo.sandbox.standalone import decode_sandboxed

ImageLike = bytes | str | Path | Image.Image


def photo_of(image: ImageLike, decode_file: Callable[[bytes], Photo] = decode_sandboxed) -> Photo:
    """Decode bytes, a file, or a Pillow image (see `photo_of_image`).

    decode_file: for bytes and files. Pillow decodes a Pillow image in this process, even if its
        file is not trusted.

    Raises DecodeError, OSError for a path that can't be read (FileNotFoundError if there is no
    file), and UsageError for any other type.
    """
    if isinstance(image, bytes):
        return decode_file(image)
    if isinstance(image, str | Path):
        if isinstance(image, str) and "://" in image:
            raise UsageError(f"{image!r} is an address, which is not fetched: give its bytes")
        if image == "":
            raise UsageError("an empty path names no file")
        if "\0" in str(image):
            raise UsageError(f"{str(image)!r} is no path: it has a null character")
        try:
            data = Path(image).read_bytes()
        except UnicodeEncodeError as error:  # a lone surrogate that stands for no byte
            raise UsageError(f"{str(image)!r} is no path: {error.reason}") from error
        return decode_file(data)
    if isinstance(image, Image.Image):
        return photo_of_image(image)
    raise UsageError(
        f"a photo is bytes, a path or a Pillow image, not {type(image).__name__}; read() gives the "
        "bytes of an open file, PIL.Image.fromarray makes an image of an array"
    )
