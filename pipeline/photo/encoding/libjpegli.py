"""Encode JPEG by the jpegli inside the package `pyjpegli`, with optimal codes.

The package's own function writes the standard's example codes. Codes computed for each picture take
a twentieth off a thumbnail of 512 pixels and an eighth off one of 128, for the same pixels and half
as much time again (docs/PERFORMANCE.md). Codes for photos in general, with all parts of a picture
quantised alike, take half of the time for as many bytes of the same look. So this calls the
library's own interface, which is that of libjpeg (version 62, as in libjpeg-turbo) under other
names. If it can't be reached, belongs to an untested release, or does not reproduce the package's
bytes for a small picture, `jpegli_encoder` is None and the package encodes.

The library exits the process on an error, as libjpeg does by default. What it could refuse is
checked before it is called: the layout of its structures, by the release, and the picture's sides.
"""

import ctypes
from functools import cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import EncodeError
from pipeline.photo.encoding.photo_codes import BRIGHTNESS_AC, BRIGHTNESS_DC, COLOUR_AC, COLOUR_DC

LIBRARY_VERSION = 62
RGB = 2  # J_COLOR_SPACE
LONGEST_SIDE = 65_500  # JPEG_MAX_DIMENSION
ERROR_MANAGER_BYTES = 512  # jpeg_error_mgr takes 168
# Indices of the codes of brightness and colours among a compressor's tables, DC and AC each.
TABLES = {4: BRIGHTNESS_DC, 5: COLOUR_DC, 8: BRIGHTNESS_AC, 9: COLOUR_AC}
# For each adaptive quality, the quality with the same SSIMULACRA2 if all parts are quantised alike:
# the mean over 47 crops of photos, plus 1, which grain needs. Below the first the files would be
# larger.
ADAPTIVE_QUALITIES = (66, 69, 77, 84, 89, 94, 97, 100)
ALIKE_QUALITIES = (57, 60, 69, 78, 87, 93, 97, 100)
TESTED_RELEASES = ("0.3.2",)  # releases of the package that were tested to have these structures


class Compressor(ctypes.Structure):
    """jpeg_compress_struct. Only the named fields are touched here."""

    _fields_ = (
        *(("err", ctypes.c_void_p), ("of_every_object", ctypes.c_void_p * 3)),
        *(("is_decompressor", ctypes.c_int), ("global_state", ctypes.c_int)),
        *(("dest", ctypes.c_void_p), ("image_width", ctypes.c_uint)),
        *(("image_height", ctypes.c_uint), ("input_components", ctypes.c_int)),
        *(("in_color_space", ctypes.c_int), ("input_gamma", ctypes.c_double)),
        *(("components", ctypes.c_int * 3), ("comp_info", ctypes.c_void_p)),
        *(("tables", ctypes.c_void_p * 12), ("arithmetic", ctypes.c_uint8 * 48)),
        *(("num_scans", ctypes.c_int), ("scan_info", ctypes.c_void_p)),
        *(("raw_data_in", ctypes.c_int), ("arith_code", ctypes.c_int)),
        *(("optimize_coding", ctypes.c_int), ("of_entropy", ctypes.c_int * 9)),
        *(("progress", ctypes.c_int * 6), ("cur_comp_info", ctypes.c_void_p * 4)),
        *(("of_scan", ctypes.c_int * 17), ("modules", ctypes.c_void_p * 9)),
        *(("script_space", ctypes.c_void_p), ("script_space_size", ctypes.c_int)),
    )


class HuffmanTable(ctypes.Structure):
    """JHUFF_TBL."""

    _fields_ = (
        ("bits", ctypes.c_uint8 * 17),
        ("symbols", ctypes.c_uint8 * 256),
        ("sent", ctypes.c_int),
    )


class JpegliEncoder:
    """jpegli's encoder, in the library that the package has loaded."""

    def __init__(self) -> None:
        """Raises ImportError, OSError, AttributeError or TypeError if it can't be reached."""
        import pyjpegli

        if pyjpegli.__version__ not in TESTED_RELEASES:
            raise ImportError(f"release {pyjpegli.__version__} was not tried", name="pyjpegli")
        library = ctypes.CDLL(pyjpegli.__file__)
        self._free = ctypes.CDLL(None).free
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self._free.argtypes, self._free.restype = [pointer], None
        self._std_error = library.jpegli_std_error
        self._std_error.restype = pointer
        self._create = library.jpegli_CreateCompress
        self._create.argtypes = [pointer, number, ctypes.c_size_t]
        self._to_memory = library.jpegli_mem_dest
        self._to_memory.argtypes = [pointer, pointer, pointer]
        self._set_defaults = library.jpegli_set_defaults
        self._set_quality = library.jpegli_set_quality
        self._set_quality.argtypes = [pointer, number, number]
        self._set_level = library.jpegli_set_progressive_level
        self._start = library.jpegli_start_compress
        self._write = library.jpegli_write_scanlines
        self._write.argtypes = [pointer, pointer, ctypes.c_uint]
        self._finish = library.jpegli_finish_compress
        self._destroy = library.jpegli_destroy_compress
        self._adapt = library.jpegli_enable_adaptive_quantization
        for function in (self._set_level, self._start, self._adapt):
            function.argtypes, function.restype = [pointer, number], None
        for function in (self._std_error, self._set_defaults, self._finish, self._destroy):
            function.argtypes = [pointer]

    def encode_photo(self, pixels: NDArray[np.uint8], quality: int) -> bytes:
        """Encode a photo as `encode` does, with the same look and size in half of the time.

        Below the first of ADAPTIVE_QUALITIES this just calls `encode`.
        """
        if quality < ADAPTIVE_QUALITIES[0]:
            return self.encode(pixels, quality)
        alike = round(float(np.interp(quality, ADAPTIVE_QUALITIES, ALIKE_QUALITIES)))
        return self.encode(pixels, alike, optimal=False, alike=True)

    def encode(
        self,
        pixels: NDArray[np.uint8],
        quality: int,
        optimal: bool = True,
        alike: bool = False,
    ) -> bytes:
        """Encode uint8 pixels [h, w, 3] as a baseline JPEG file.

        quality: 1 to 100, on jpegli's scale. optimal: compute codes for this picture.
        alike: quantise all parts alike; without `optimal`, the codes are then those for photos.
        Raises EncodeError for sides that no JPEG can have.
        """
        pixels = np.ascontiguousarray(pixels)
        height, width, _ = pixels.shape
        if not (1 <= height <= LONGEST_SIDE and 1 <= width <= LONGEST_SIDE):
            problem = f"width and height must be positive and at most {LONGEST_SIDE}"
            raise EncodeError("encoder_failed", f"jpegli: {problem}, got {width}x{height}")
        errors, state = ctypes.create_string_buffer(ERROR_MANAGER_BYTES), Compressor()
        at = ctypes.addressof(state)
        state.err = self._std_error(ctypes.addressof(errors))
        written, size = ctypes.c_void_p(), ctypes.c_ulong()
        rows = pixels.ctypes.data + pixels.strides[0] * np.arange(height, dtype=np.uintp)
        self._create(at, LIBRARY_VERSION, ctypes.sizeof(state))
        try:
            state.image_width, state.image_height = width, height
            state.input_components, state.in_color_space = 3, RGB
            self._to_memory(at, ctypes.addressof(written), ctypes.addressof(size))
            self._set_defaults(at)
            self._set_quality(at, quality, True)
            self._set_level(at, 0)
            state.optimize_coding = optimal
            if alike:
                self._adapt(at, False)
                _set_photo_codes(state)
            self._start(at, True)
            self._write(at, rows.ctypes.data, height)
            self._finish(at)
            return ctypes.string_at(written, size.value)
        finally:
            self._destroy(at)
            self._free(written)


def _set_photo_codes(state: Compressor) -> None:
    """Give a compressor the codes for photos in place of its default, the standard's examples."""
    for place, table in TABLES.items():
        codes = HuffmanTable.from_address(state.tables[place])
        codes.bits[1:] = table[:16]
        codes.symbols[: len(table) - 16] = table[16:]


@cache
def jpegli_encoder() -> JpegliEncoder | None:
    """Return this process's encoder; None if it can't be reached or differs from the package."""
    try:
        found = JpegliEncoder()
        well = all(_matches_package(found, pixels) for pixels in _samples())
    except (ImportError, OSError, AttributeError, TypeError, EncodeError):
        return None
    return found if well else None


def _matches_package(found: JpegliEncoder, pixels: NDArray[np.uint8]) -> bool:
    """Return whether the package gives the same bytes, and other codes give the same pixels."""
    import pyjpegli

    theirs = pyjpegli.encode(pixels, pixels.shape[1], pixels.shape[0], 80)
    seen = [np.asarray(Image.open(BytesIO(f))) for f in (theirs, found.encode(pixels, 80))]
    same = np.array_equal(seen[0], seen[1])
    alike = [found.encode(pixels, 80, optimal, alike=True) for optimal in (True, False)]
    seen = [np.asarray(Image.open(BytesIO(file))) for file in alike]
    same = same and np.array_equal(seen[0], seen[1])
    return same and found.encode(pixels, 80, optimal=False) == theirs


def _samples() -> list[NDArray[np.uint8]]:
    """Return a small picture with odd sides, and its transpose."""
    rows, columns = np.mgrid[0:35, 0:29]
    colours = np.stack([rows * 7, columns * 8, (rows * columns) % 256], axis=2).astype(np.uint8)
    return [colours, np.ascontiguousarray(colours.transpose(1, 0, 2))]
