"""Sum maps over boxes, exactly and continuously in the boxes' edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import FloatArray, shared_lengths
from pipeline.cropping.extents import Extents


class CellMaps:
    """Maps over the whole photo that are summed over boxes.

    A cell's value is spread evenly over it, so a sum changes smoothly with a box's edges. Without
    that, crops would jump from cell to cell.
    """

    def __init__(self, cells: FloatArray) -> None:
        """Keep the maps. cells: [M, h, w], any units."""
        self._maps, height, width = cells.shape
        self._rows, self._columns = np.arange(height + 1.0), np.arange(width + 1.0)
        # As [h, M · w], so that the sums between two heights are one product of matrices.
        self._cells = np.ascontiguousarray(cells.transpose(1, 0, 2)).reshape(height, -1)
        self.totals = cells.sum(axis=(1, 2), dtype=np.float64)  # [M]

    def inside(self, boxes_rel: FloatArray) -> FloatArray:
        """Sum over each of boxes [N, 4], shares of the sides; parts outside count 0: [M, N]."""
        return self.of_extents(Extents.of(boxes_rel))

    def of_extents(self, boxes: Extents) -> FloatArray:
        """Sum as `inside` over N boxes given by extents, perhaps of several shapes: [M, ..., N].

        The share of a cell inside a box is the share of its row times the share of its column.
        """
        of_rows = _shares_inside(boxes.down, self._rows)  # [..., V, h]
        of_columns = _shares_inside(boxes.across, self._columns)  # [..., U, w]
        shapes, width = of_rows.shape[:-2], of_columns.shape[-1]
        between = (of_rows @ self._cells).reshape(*shapes, -1, width)  # [..., V · M, w]
        sums = (between @ of_columns.swapaxes(-1, -2)).reshape(
            *shapes, of_rows.shape[-2], self._maps, of_columns.shape[-2]
        )  # [..., V, M, U]
        return np.asarray(np.moveaxis(sums, -2, 0)[..., boxes.rows, boxes.columns])


def _shares_inside(edges_rel: FloatArray, cells: NDArray[np.float64]) -> FloatArray:
    """Return the share of C cells, between `cells` [C + 1], in extents [..., E, 2]: [..., E, C]."""
    edges = edges_rel * (len(cells) - 1)
    return shared_lengths(edges[..., 0], edges[..., 1], cells[:-1], cells[1:])
