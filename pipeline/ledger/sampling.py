"""Read a part of a run's rows, enough for its figures, and the live rows of the same photos.

Of a run with many tasks only an evenly spread sample is read. Which task holds a photo does not
depend on how well the photo was cropped. Stored files hold the pictures too, so reading all of a
large run would cost as much as writing it.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import RecordError
from pipeline.ledger.forgetting import without
from pipeline.ledger.layout import data_task
from pipeline.ledger.manifest import data_files
from pipeline.ledger.pictures import as_bytes
from pipeline.ledger.pinned import input_file_tasks, overlapping, read_spec
from pipeline.ledger.records import DataFile, Manifest, PinnedSpec
from pipeline.ledger.tables import TABLES, read_table
from pipeline.storage.store import Store

TASKS = 128  # tasks of a run that are read at most
FILES = 256  # files of live runs that are read at most, for the comparison
READERS = 16

PhotoLocations = dict[str, tuple[str, int]]  # by image_id: the run and the task that hold the photo


def spread(numbers: Iterable[int], most: int) -> set[int]:
    """Choose at most `most` of the distinct numbers, evenly spread over their sorted order."""
    known = sorted(set(numbers))
    if len(known) <= most:
        return set(known)
    return {known[i * len(known) // most] for i in range(most)}


def rows_of(
    store: Store, manifest: Manifest, table: str, columns: list[str], tasks: set[int] | None
) -> pa.Table:
    """Read one table of a run, or of some of its tasks (None: all).

    columns: the columns to read; one that the table lacks is left out.
    """
    files = [f for f in data_files(store, manifest, table) if _wanted(f, tasks)]
    with ThreadPoolExecutor(READERS) as pool:
        parts = list(pool.map(lambda file: read_table(store, file.key, columns), files))
    if not parts:
        schema = TABLES[table]
        known = [name for name in columns if name in schema.names]
        return schema.empty_table().select(known)
    bare = [as_bytes(part).replace_schema_metadata(None) for part in parts]
    return pa.concat_tables(bare, promote_options="default")


def locate_photos(
    store: Store, manifests: list[Manifest], photos: pa.Table, damaged: dict[str, str]
) -> PhotoLocations:
    """Find the run and the task that hold each photo; the first run that has it counts.

    photos:  image_id and uri. Only input lists are read, and only those of their files
        whose range of uris overlaps
    damaged: receives the reason, by run id, for each run that is left out
    """
    found: PhotoLocations = {}
    if not manifests or photos.num_rows == 0:
        return found
    photos = photos.sort_by("uri")
    uris = photos["uri"].combine_chunks()
    ids = photos["image_id"].combine_chunks()
    with ThreadPoolExecutor(READERS) as pool:
        specs = [pool.submit(read_spec, store, manifest.run_id) for manifest in manifests]
        for manifest, spec in zip(manifests, specs, strict=True):
            try:
                here = _locate_in(store, spec.result(), uris, ids)
            except RecordError as error:
                damaged[manifest.run_id] = str(error)
                continue
            found = {**here, **found}
    return found


def _locate_in(store: Store, spec: PinnedSpec, uris: pa.Array, ids: pa.Array) -> PhotoLocations:
    here: PhotoLocations = {}
    for number, _ in overlapping(uris, spec.plan.files):
        listed = input_file_tasks(store, spec, number)
        listed = listed.filter(pc.is_in(listed["image_id"], ids))
        for image_id, task in zip(*(c.to_pylist() for c in listed.columns), strict=True):
            here[image_id] = (spec.run_id, task)
    return here


def live_crops(
    store: Store,
    manifests: list[Manifest],
    places: PhotoLocations,
    columns: list[str],
    damaged: dict[str, str],
    of_images: Sequence[str] = ("etag",),
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield (images, crops) of the photos, run by run; of many files only a sample is read.

    columns: of the crops. of_images: columns of the images, which have image_id too.
    damaged: receives the reason, by run id, for each run that is left out
    """
    wanted = sorted(set(places.values()))
    kept = {wanted[i] for i in spread(range(len(wanted)), FILES)}
    for manifest in manifests:
        tasks = {task for run_id, task in kept if run_id == manifest.run_id}
        if not tasks:
            continue
        own = [i for i, (run_id, _) in places.items() if run_id == manifest.run_id]
        ids = pa.array(own, pa.string())
        try:
            images = rows_of(store, manifest, "images", ["image_id", *of_images], tasks)
            crops = rows_of(store, manifest, "crops", columns, tasks)
        except RecordError as error:
            damaged[manifest.run_id] = str(error)
            continue
        yield _only(images, ids), _only(crops, ids)


def _only(rows: pa.Table, ids: pa.Array) -> pa.Table:
    return rows.filter(pc.is_in(rows["image_id"], ids))


def _wanted(file: DataFile, tasks: set[int] | None) -> bool:
    return tasks is None or data_task(file.key) in tasks


def sampled_rows(
    store: Store, manifests: list[Manifest], hidden: pa.Array, columns: dict[str, list[str]]
) -> tuple[dict[str, pa.Table], bool]:
    """Read rows of a run and of those that it repairs, each photo from the first that has it.

    columns: those to read, by table. Returns the tables, and whether they hold the whole run.
    """
    parts: dict[str, list[pa.Table]] = {name: [] for name in columns}
    seen, whole = hidden, True
    for manifest in manifests:
        numbers = range(manifest.tasks)
        tasks = spread(numbers, TASKS)
        whole = whole and len(tasks) == len(numbers)
        for name, wanted in columns.items():
            parts[name].append(without(rows_of(store, manifest, name, wanted, tasks), seen))
        if manifest is not manifests[-1]:
            own = rows_of(store, manifest, "images", ["image_id"], None)["image_id"]
            seen = pa.concat_arrays([seen, own.combine_chunks()])
    tables = {n: pa.concat_tables(p, promote_options="default") for n, p in parts.items()}
    return tables, whole
