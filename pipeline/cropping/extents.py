"""Represent boxes by their extents across and down, which many boxes of one shape share.

Candidates combine every x with every y, and so do the neighbours of a crop: 27 of them have 9
extents across and 9 down. The area that two boxes share is a product of two lengths, so each length
is computed once per extent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.boxes import FloatArray, shared_lengths


class Extents(NamedTuple):
    """N boxes: box i spans `across[columns[i]]` and `down[rows[i]]`.

    The boxes of several shapes [..., N, 4] may be held together if all are arranged alike.
    """

    across: FloatArray  # [..., U, 2] left and right edges
    down: FloatArray  # [..., V, 2] upper and lower edges
    columns: NDArray[np.intp]  # [N]
    rows: NDArray[np.intp]  # [N]

    @classmethod
    def of(cls, boxes: FloatArray) -> Extents:
        """Build extents from xyxy boxes [N, 4], in any frame. No two extents are the same."""
        (across, columns), (down, rows) = _unique_rows(boxes[:, ::2]), _unique_rows(boxes[:, 1::2])
        return cls(across, down, columns, rows)

    @classmethod
    def ungrouped(cls, boxes: FloatArray) -> Extents:
        """Build extents from boxes [..., N, 4], separate ones for each box."""
        own = np.arange(boxes.shape[-2])
        return cls(boxes[..., ::2], boxes[..., 1::2], own, own)

    def about_centres(self, share: FloatArray) -> Extents:
        """Scale the boxes about their centres, their sides by shares [..., 1]."""
        across, down = (
            edges + (1 - share[..., None]) * (edges.mean(axis=-1, keepdims=True) - edges)
            for edges in (self.across, self.down)
        )
        return self._replace(across=across, down=down)

    def shared_with(self, others: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Compute lengths shared with others [..., M, 4]: across [..., U, M], down [..., V, M].

        Box i shares with other m the area of across[columns[i], m] times down[rows[i], m].
        """
        x0, y0, x1, y1 = (others[..., edge] for edge in range(4))
        return (
            shared_lengths(self.across[..., 0], self.across[..., 1], x0, x1),
            shared_lengths(self.down[..., 0], self.down[..., 1], y0, y1),
        )


def _unique_rows(edges: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return the distinct rows of edges [N, 2], and the index of each row among them: [N]."""
    # Rows are complex numbers, since numpy sorts those twenty times as fast; on a few boxes
    # np.unique takes twice as long.
    pairs = np.ascontiguousarray(edges, np.float64).view(np.complex128)[:, 0]
    order = pairs.argsort()
    ordered = pairs[order]
    is_new = np.ones(len(pairs), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    places = np.empty(len(pairs), np.intp)
    places[order] = is_new.cumsum() - 1
    return ordered[is_new][:, None].view(np.float64), places
