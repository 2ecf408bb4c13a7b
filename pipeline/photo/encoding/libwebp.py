"""Encode WebP by the libwebp that Pillow has loaded, without Pillow's copies.

`encode` gives the same bytes as Pillow. It saves the conversions to Pillow's image and to 4 bytes
per pixel, and encodes the same opacity only once: the outline of a circle is the same in every
thumbnail of a size. docs/PERFORMANCE.md has the figures.

Structures and calls are those of libwebp's `encode.h`, major version 2 of its ABI; the container is
that of RFC 9649. If the library can't be reached, or gives other bytes than Pillow for a small
picture, `encoder` is None and Pillow encodes.
"""

import ctypes
from collections import OrderedDict
from functools import cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import EncodeError

ABI_VERSION = 0x0210
MOST_OUTLINES = 64  # opacities whose chunk is cached: a run has fewer shapes times sizes
LARGEST_OUTLINE = 1 << 20  # pixels
ALPHA_FLAG = 0x10  # of the chunk VP8X
OPAQUE, WITH_OPACITY = 0, 4  # WebPEncCSP: YUV 4:2:0 without and with a plane of opacity


class Config(ctypes.Structure):
    """WebPConfig."""

    _fields_ = (
        *(("lossless", ctypes.c_int), ("quality", ctypes.c_float), ("method", ctypes.c_int)),
        *(("image_hint", ctypes.c_int), ("target_size", ctypes.c_int)),
        ("target_psnr", ctypes.c_float),
        ("others", ctypes.c_int * 23),
    )


class WebPPicture(ctypes.Structure):
    """A picture to encode, as libwebp lays it out."""

    _fields_ = (
        *(("use_argb", ctypes.c_int), ("colorspace", ctypes.c_int)),
        *(("width", ctypes.c_int), ("height", ctypes.c_int)),
        *(("y", ctypes.c_void_p), ("u", ctypes.c_void_p), ("v", ctypes.c_void_p)),
        *(("y_stride", ctypes.c_int), ("uv_stride", ctypes.c_int)),
        *(("a", ctypes.c_void_p), ("a_stride", ctypes.c_int), ("pad1", ctypes.c_uint32 * 2)),
        *(("argb", ctypes.c_void_p), ("argb_stride", ctypes.c_int), ("pad2", ctypes.c_uint32 * 3)),
        *(("writer", ctypes.c_void_p), ("custom_ptr", ctypes.c_void_p)),
        *(("extra_info_type", ctypes.c_int), ("extra_info", ctypes.c_void_p)),
        *(("stats", ctypes.c_void_p), ("error_code", ctypes.c_int)),
        *(("progress_hook", ctypes.c_void_p), ("user_data", ctypes.c_void_p)),
        *(("pad3", ctypes.c_uint32 * 3), ("pad4", ctypes.c_void_p), ("pad5", ctypes.c_void_p)),
        ("pad6", ctypes.c_uint32 * 8),
        *(("memory", ctypes.c_void_p), ("memory_argb", ctypes.c_void_p)),
        ("pad7", ctypes.c_void_p * 2),
    )


class MemoryWriter(ctypes.Structure):
    """WebPMemoryWriter."""

    _fields_ = (
        ("mem", ctypes.c_void_p),
        ("size", ctypes.c_size_t),
        ("max_size", ctypes.c_size_t),
        ("pad", ctypes.c_uint32),
    )


class WebpEncoder:
    """libwebp's lossy encoder, in the library that Pillow has loaded."""

    def __init__(self) -> None:
        """Raises OSError or AttributeError if the library or one of its functions is missing."""
        from PIL import _webp

        # Symbols are looked up in the extension and in the libraries that it is linked with.
        library = ctypes.CDLL(_webp.__file__)
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self._init_config = library.WebPConfigInitInternal
        self._init_config.argtypes = [pointer, number, ctypes.c_float, number]
        self._init_picture = library.WebPPictureInitInternal
        self._init_picture.argtypes = [pointer, number]
        self._import_rgb = library.WebPPictureImportRGB
        self._import_rgba = library.WebPPictureImportRGBA
        for function in (self._import_rgb, self._import_rgba):
            function.argtypes = [pointer, pointer, number]
        self._clean = library.WebPCleanupTransparentArea
        self._encode = library.WebPEncode
        self._encode.argtypes = [pointer, pointer]
        self._free_picture = library.WebPPictureFree
        self._free_written = library.WebPMemoryWriterClear
        for function in (self._clean, self._free_picture, self._free_written):
            function.argtypes, function.restype = [pointer], None
        self._write = ctypes.cast(library.WebPMemoryWrite, pointer)
        self._outlines: OrderedDict[tuple[int, bytes], bytes] = OrderedDict()

    def encode(self, pixels: NDArray[np.uint8], quality: int, method: int) -> bytes:
        """Encode uint8 pixels [h, w, 3], or [h, w, 4] with opacity, as a WebP file.

        Raises EncodeError if the encoder fails.
        """
        pixels = np.ascontiguousarray(pixels)
        if pixels.shape[2] == 3:
            return self._file(pixels, quality, method)
        return self._with_outline(pixels, np.ascontiguousarray(pixels[..., 3]), quality, method)

    def encode_masked(
        self, pixels: NDArray[np.uint8], opacity: NDArray[np.uint8], quality: int, method: int
    ) -> bytes:
        """Encode uint8 pixels [h, w, 3] with an opacity [h, w] as a WebP file.

        This is cheaper than `encode` with both in one array. The bytes differ in the edge's colour,
        a mean of four pixels, which are weighted equally. Raises EncodeError if the encoder fails.
        """
        pixels, opacity = np.ascontiguousarray(pixels), np.ascontiguousarray(opacity)
        return self._with_outline(pixels, opacity, quality, method)

    def _with_outline(
        self, pixels: NDArray[np.uint8], opacity: NDArray[np.uint8], quality: int, method: int
    ) -> bytes:
        """Return a file of pixels, whose opacity is encoded only if it is not in the cache."""
        if opacity.size > LARGEST_OUTLINE:
            return self._file(pixels, quality, method, opacity)
        key = (method, opacity.shape[1].to_bytes(4, "big") + opacity.tobytes())
        outline = self._outlines.get(key)
        if outline is None:
            file = self._file(pixels, quality, method, opacity)
            outline = chunk(file, b"ALPH")
            if outline is None:  # opaque after all
                return file
            self._outlines[key] = outline
            if len(self._outlines) > MOST_OUTLINES:
                self._outlines.popitem(last=False)
            return file
        file = self._file(pixels, quality, method, opacity, keep_opacity=False)
        colours = chunk(file, b"VP8 ")
        if colours is None:
            raise EncodeError("encoder_failed", "webp: a file without a picture")
        return container(pixels.shape[1], pixels.shape[0], outline, colours)

    def _file(
        self,
        pixels: NDArray[np.uint8],
        quality: int,
        method: int,
        opacity: NDArray[np.uint8] | None = None,
        keep_opacity: bool = True,
    ) -> bytes:
        """Return a file of pixels. Invisible colours are smoothed even if opacity is not kept.

        So the picture inside has the same bytes either way. opacity: for pixels [h, w, 4], theirs.
        """
        config, picture, written = Config(), WebPPicture(), MemoryWriter()
        if not self._init_config(ctypes.byref(config), 0, quality, ABI_VERSION):
            raise EncodeError("encoder_failed", "webp: another binary interface")
        config.method = method
        self._init_picture(ctypes.byref(picture), ABI_VERSION)
        picture.height, picture.width, channels = pixels.shape
        picture.writer, picture.custom_ptr = self._write, ctypes.addressof(written)
        import_pixels = self._import_rgb if channels == 3 else self._import_rgba
        try:
            done = import_pixels(ctypes.byref(picture), pixels.ctypes.data, pixels.strides[0])
            if done and opacity is not None and channels == 3:  # libwebp only reads it
                picture.a, picture.a_stride = opacity.ctypes.data, opacity.strides[0]
                picture.colorspace = WITH_OPACITY
            if done and picture.a and not keep_opacity:
                self._clean(ctypes.byref(picture))
                picture.colorspace, picture.a = OPAQUE, None
            if not (done and self._encode(ctypes.byref(config), ctypes.byref(picture))):
                raise EncodeError("encoder_failed", f"webp: error {picture.error_code}")
            return ctypes.string_at(written.mem, written.size)
        finally:
            self._free_written(ctypes.byref(written))
            self._free_picture(ctypes.byref(picture))


def chunk(file: bytes, name: bytes) -> bytes | None:
    """Return a WebP file's chunk with its header and padding; None if there is none of the name."""
    at = 12
    while at + 8 <= len(file):
        size = int.from_bytes(file[at + 4 : at + 8], "little")
        end = at + 8 + size + size % 2
        if file[at : at + 4] == name:
            return file[at:end]
        at = end
    return None


def container(width: int, height: int, outline: bytes, colours: bytes) -> bytes:
    """Build a WebP file from the chunks `ALPH` and `VP8 `."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    head = b"VP8X" + (10).to_bytes(4, "little") + bytes([ALPHA_FLAG, 0, 0, 0]) + sides
    body = b"WEBP" + head + outline + colours
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@cache
def encoder() -> WebpEncoder | None:
    """Return this process's encoder; None if it can't be reached or differs from Pillow."""
    try:
        found = WebpEncoder()
        well = all(_matches_pillow(found, pixels) for pixels in _samples())
    except (ImportError, OSError, AttributeError, EncodeError):
        return None
    return found if well else None


def _matches_pillow(found: WebpEncoder, pixels: NDArray[np.uint8]) -> bool:
    """Return whether Pillow gives the same bytes, also if the outline is cached already."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "webp", quality=75, method=2)
    return [found.encode(pixels, 75, 2) for _ in range(2)] == [stream.getvalue()] * 2


def _samples() -> list[NDArray[np.uint8]]:
    """Return small pictures with odd sides, without and with opacity."""
    rows, columns = np.mgrid[0:35, 0:29]
    colours = np.stack([rows * 7, columns * 8, (rows * columns) % 256], axis=2).astype(np.uint8)
    opacity = np.where((rows < 20) | (columns > 14), 0, np.minimum(255, columns * 20))
    return [colours, np.dstack([colours, opacity.astype(np.uint8)])]
