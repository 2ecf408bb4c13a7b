"""Declare the tables of a run in one place. Writing casts to these types; a mismatch raises.

Boxes are in source pixels after orientation, xyxy, half-open. Columns of the input list that are
not the product's own ("pass-through") are appended to `images` and `crops` under their own names.
"""

from collections.abc import Iterable

import pyarrow as pa

OK = "ok"  # the status of a photo that has its crops; any other is a reason
ANIMATED_SKIPPED = "skipped_animated"
SKIPPED = frozenset({ANIMATED_SKIPPED})  # statuses of photos that a setting leaves without crops
NOT_FAILED = frozenset({OK, *SKIPPED})  # any other status is the reason of a failure

EDGES = ("x0", "y0", "x1", "y1")  # the columns, or fields, of a box
BOX = pa.list_(pa.float32(), 4)  # a box as one value
# A box that may be null: Arrow before 26 and polars cannot read a Parquet file with a null in a
# list of fixed length.
BOX_OR_NULL = pa.list_(pa.float32())

# The origin of a row. Filled in when a task is committed; null in old runs.
PROVENANCE = (
    pa.field("run_id", pa.string()),
    pa.field("processed_at", pa.timestamp("us", "UTC")),  # when its task was committed
    pa.field("weights", pa.string()),  # WEIGHTS_DIGITS digits of the scoring weights' sha256
)
WEIGHTS_DIGITS = 12

OBJECT = pa.struct(
    [
        pa.field("x0", pa.float32(), nullable=False),
        pa.field("y0", pa.float32(), nullable=False),
        pa.field("x1", pa.float32(), nullable=False),
        pa.field("y1", pa.float32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
        pa.field("label", pa.string()),
    ]
)

SKIPPED = pa.struct(
    [
        pa.field("ratio", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),  # a term of docs/GUARDS.md
    ]
)

INPUTS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),  # stable hash of the uri
        pa.field("uri", pa.string(), nullable=False),
        pa.field("etag", pa.string()),  # pinned when the run was planned
        pa.field("bytes", pa.int64()),
    ]
)
INPUT_BOXES = pa.field("boxes", pa.list_(BOX))  # optional: objects given with the list
INPUT_OVERRIDE = pa.field("override", pa.string())  # optional: a person's decision, as JSON
# Optional, added by a plan: where an earlier run has a photo with perhaps the same bytes, as
# run/task/image_id.
INPUT_SEEN = pa.field("_seen_in", pa.string())

IMAGES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("etag", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("content_sha256", pa.string()),  # of the object as read
        pa.field("same_as", pa.string()),  # image_id of the photo with this result; null: its own
        pa.field("format", pa.string()),  # jpeg, png, webp, gif, avif, heic
        pa.field("width_px", pa.int32()),  # after orientation
        pa.field("height_px", pa.int32()),
        pa.field("orientation", pa.int8()),  # of the file, as EXIF numbers it: 1..8
        pa.field("objects", pa.list_(OBJECT)),  # from the detector or the list, best first
        pa.field("kind", pa.string()),  # photo, text-heavy, screenshot, animated, long
        pa.field("frames", pa.int32()),  # in the file; 1: a still picture
        pa.field("complete", pa.float32()),  # share of the rows that could be decoded, 0..1
        pa.field("thumbhash", pa.string()),  # ThumbHash of the whole photo, base64
        pa.field("phash", pa.int64()),  # 64 bits, few of which differ in similar photos
        pa.field("content", BOX_OR_NULL),  # the part inside uniform borders; null: the whole photo
        pa.field("focus_x", pa.float32()),  # 0..1 of the width; null: no gaze map and not given
        pa.field("focus_y", pa.float32()),  # ... of the height
        pa.field("focus_source", pa.string()),  # gaze: peak of the gaze map; list; override
        pa.field("override", pa.string()),  # the person's decision that applies: uri or pattern
        pa.field("skipped", pa.list_(SKIPPED)),  # shapes without a crop; null: none
        pa.field("status", pa.string(), nullable=False),  # "ok" or a reason
        pa.field("error_stage", pa.string()),  # read, decode, detect, score, encode
        pa.field("error_kind", pa.string()),  # permanent, transient, circumstances
        pa.field("error_message", pa.string()),
        pa.field("read_s", pa.float32()),
        pa.field("decode_s", pa.float32()),
        pa.field("detect_s", pa.float32()),
        pa.field("score_s", pa.float32()),
        pa.field("encode_s", pa.float32()),
        *PROVENANCE,
    ]
)

CROPS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("ratio", pa.string(), nullable=False),  # as asked for: "16:9", "circle", "free"
        pa.field("rank", pa.int32(), nullable=False),  # 0 is the best
        pa.field("x0", pa.float32(), nullable=False),
        pa.field("y0", pa.float32(), nullable=False),
        pa.field("x1", pa.float32(), nullable=False),
        pa.field("y1", pa.float32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),  # the network's
        pa.field("choice", pa.float32()),  # the number that decided; no unit, null in old runs
        pa.field("margin", pa.float32()),  # its lead over the next clearly different crop
        pa.field("object_shares", pa.list_(pa.float32())),  # area of each object inside, 0..1
        pa.field("objects_cut", pa.int32()),  # how many, regions aside, are partly inside
        # These describe what was written, see docs/GUARDS.md; null in old runs.
        pa.field("confidence", pa.float32()),  # probability that a person accepts it, 0..1
        pa.field("faces_cut", pa.int32()),
        pa.field("heads_cut", pa.int32()),
        pa.field("text_cut", pa.int32()),  # blocks of text
        pa.field("subject_share", pa.float32()),  # of the main subject inside, 0..1; null: none
        pa.field("verdict", pa.string()),  # ok, fallback, review
        pa.field("reason", pa.string()),  # why not ok
        pa.field("fit", pa.string()),  # crop; pad, blur: the whole photo on a background
        pa.field("override", pa.string()),  # the person's instruction that was obeyed
        pa.field("width", pa.int32(), nullable=False),  # of the encoded crop, pixels, or
        pa.field("height", pa.int32(), nullable=False),  # the planned ones if none is encoded
        # Null where nothing was encoded (--boxes-only).
        pa.field("format", pa.string()),  # webp, jpeg, png, avif
        pa.field("frames", pa.int32()),  # of the encoded crop; above 1: animated
        pa.field("image", pa.large_binary()),
        pa.field("sha256", pa.string()),  # of `image`
        pa.field("file", pa.string()),  # key under the output, with --crop-files
        *PROVENANCE,
    ]
)

# Crops stored as objects under names from a template (--crop-files TEMPLATE).
CROP_FILES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("ratio", pa.string(), nullable=False),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("name", pa.string(), nullable=False),  # from the template: the same in each run
        pa.field("key", pa.string(), nullable=False),  # of this run's object: crops/<run>/<name>
        pa.field("sha256", pa.string(), nullable=False),  # of the object
    ]
)

CANDIDATES = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("ratio", pa.string(), nullable=False),
        pa.field("x0", pa.float32(), nullable=False),
        pa.field("y0", pa.float32(), nullable=False),
        pa.field("x1", pa.float32(), nullable=False),
        pa.field("y1", pa.float32(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
    ]
)

# The whole photo for people to look at; no decision depends on it.
PREVIEWS = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),  # of the encoded preview, pixels
        pa.field("height", pa.int32(), nullable=False),
        pa.field("format", pa.string(), nullable=False),
        pa.field("image", pa.large_binary(), nullable=False),  # the whole photo, small
        # The gaze map in GAZE_SIDE x GAZE_SIDE equal cells, rows from the top, one byte per cell,
        # 255 for the most looked-at one; null: no map.
        pa.field("gaze", pa.binary()),
    ]
)
GAZE_SIDE = 16


def pass_through(inputs: pa.Schema) -> list[pa.Field]:
    """Return the columns of an input list that are not the product's own.

    An old run's list may use a name that the product has taken since; that column is left out.
    """
    optional = {field.name for field in (INPUT_BOXES, INPUT_OVERRIDE, INPUT_SEEN)}
    ours = {*INPUTS.names, *optional, *IMAGES.names, *CROPS.names}
    return [field for field in inputs if field.name not in ours]


def images_schema(extra: Iterable[pa.Field] = ()) -> pa.Schema:
    """Return `IMAGES` followed by the pass-through columns of the run's list."""
    return pa.schema([*IMAGES, *extra])


def crops_schema(extra: Iterable[pa.Field] = ()) -> pa.Schema:
    """Return `CROPS` followed by the pass-through columns of the run's list."""
    return pa.schema([*CROPS, *extra])
