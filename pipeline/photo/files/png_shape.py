"""Compute from a PNG's header how many bytes its rows have, unpacked."""

import struct
from dataclasses import dataclass

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a PNG, by colour type
# Adam7: first column and row of each pass, and the steps between its columns and rows.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
          (0, 1, 1, 2))  # fmt: skip


@dataclass(frozen=True)
class PngShape:
    """Sides of a PNG and the bits of a pixel."""

    width: int
    height: int
    bits: int
    interlaced: bool

    @classmethod
    def of(cls, data: bytes) -> "PngShape":
        """Read the shape from a PNG's first chunk; there must be at least 33 bytes."""
        width, height, depth, colour, _, _, lace = struct.unpack_from(">IIBBBBB", data, 16)
        return cls(width, height, depth * _CHANNELS.get(colour, 1), bool(lace))

    @property
    def needed(self) -> int:
        """Bytes of all rows, unpacked."""
        return sum(stride * rows for stride, rows in self.passes())

    def passes(self) -> list[tuple[int, int]]:
        """Return each pass's bytes per row, including the filter, and its number of rows."""
        if not self.interlaced:
            return [(1 + (self.width * self.bits + 7) // 8, self.height)]
        found = []
        for x, y, step_x, step_y in _ADAM7:
            columns = -((x - self.width) // step_x)
            rows = -((y - self.height) // step_y)
            if columns > 0 and rows > 0:
                found.append((1 + (columns * self.bits + 7) // 8, rows))
        return found

    def complete_rows(self, size: int) -> int:
        """Return how many rows the first `size` unpacked bytes complete, from the first on."""
        *early, (stride, rows) = self.passes()
        left = size - sum(one * count for one, count in early)
        complete = max(0, min(rows, left // stride))
        if not self.interlaced or self.height == 1:
            return complete
        return 0 if left < 0 else min(self.height, 2 * complete + 1)
