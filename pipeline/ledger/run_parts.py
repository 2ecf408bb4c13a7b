"""Decide which rows of several live runs come from which run."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.ledger.coverage.covered import latest_by_run
from pipeline.ledger.manifest import data_files, shapes_asked
from pipeline.ledger.records import Manifest
from pipeline.ledger.tables import read_table
from pipeline.storage.store import Store


@dataclass(frozen=True)
class RunPart:
    """The rows that come from one run.

    shapes: the shapes that the run was asked for
    photos: ids of the photos whose crops come from it, but for those in `taken`; None for all
    in_images: ids of those whose row of `images` comes from it too; None for all
    taken:  (shapes, ids): crops of these shapes and photos come from an earlier channel instead
    """

    shapes: frozenset[str]
    photos: pa.Array | None = None
    in_images: pa.Array | None = None
    taken: tuple[tuple[pa.Array, pa.Array], ...] = ()

    def taken_of(self, image_ids: pa.ChunkedArray) -> list[frozenset[str]]:
        """Return the shapes of each photo that come from an earlier channel instead."""
        found: list[frozenset[str]] = [frozenset()] * len(image_ids)
        for shapes, photos in self.taken:
            more = frozenset(shapes.to_pylist())
            there = pc.is_in(image_ids, photos).to_pylist()
            found = [old | more if has else old for old, has in zip(found, there, strict=True)]
        return found


def parts_of_runs(store: Store, layers: list[list[Manifest]]) -> list[RunPart]:
    """Return the part of each run, in the order of the runs.

    layers: the runs of each channel, front to back. A photo of a channel comes from the first run
    that has it, and a shape of a photo from the first channel that was asked for it.
    """
    runs = [manifest for layer in layers for manifest in layer]
    if len(runs) == 1:
        return [RunPart(shapes_asked(runs[0]))]
    parts: list[RunPart] = []
    anywhere: set[str] = set()
    above: list[RunPart] = []  # of earlier channels
    for layer in layers:
        seen: set[str] = set()
        known = latest_by_run(store, layer)
        own: list[RunPart] = []
        for manifest in layer:
            latest = known.get(manifest.run_id)
            ids = (_image_ids(store, manifest) if latest is None else latest) - seen
            seen |= ids
            shapes = shapes_asked(manifest)
            common = ((shapes & part.shapes, part.photos) for part in above)
            taken = tuple((pa.array(sorted(both)), photos) for both, photos in common if both)
            photos = pa.array(sorted(ids), pa.string())
            in_images = pa.array(sorted(ids - anywhere), pa.string())
            own.append(RunPart(shapes, photos, in_images, taken))
        anywhere |= seen
        above += own
        parts += own
    return parts


def _image_ids(store: Store, manifest: Manifest) -> set[str]:
    ids: set[str] = set()
    for file in data_files(store, manifest, "images"):
        ids.update(read_table(store, file.key, ["image_id"])["image_id"].to_pylist())
    return ids
