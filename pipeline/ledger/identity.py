"""Identify a run by everything that determines its output; describe how two runs differ."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct, structs

from pipeline.crop_names import columns_named
from pipeline.schema import INPUT_BOXES, INPUT_OVERRIDE, INPUTS
from pipeline.storage.spool import pieces

HASH_ROWS = 50_000  # rows turned into text at a time while the input list is hashed
# Identities of the detector `boxes`: without and with a folder of box files.
BOXES_OF_LIST, BOX_FILES = "column", "files:"


class Identity(Struct, frozen=True, kw_only=True):
    """Everything that determines what a run writes.

    settings:   those that change the output, JSON values only
    detector:   its identity (name and hash or version)
    parent:     the run whose failed photos this one processes again, if it is a retry
    generation: 0, or how often an abandoned run of this identity was started again
    render_of:  the run whose decisions this one encodes again, if it does
    """

    settings: Mapping[str, Any]
    weights_sha256: str
    detector: str
    code_version: str
    input_sha256: str
    parent: str | None = None
    generation: int = 0
    render_of: str | None = None

    @property
    def takes_boxes(self) -> bool:
        """Whether objects come from boxes given for each photo instead of from its pixels."""
        return self.detector == BOXES_OF_LIST or self.detector.startswith(BOX_FILES)

    @property
    def list_columns(self) -> tuple[str, ...]:
        """Names of the list's columns whose values decide a photo's crops or the crops' names.

        ETags, and people's decisions in the column `override`, come on top of these.
        """
        boxes = [INPUT_BOXES.name] if self.takes_boxes else []
        named = set(columns_named(str(self.settings.get("crop_files", ""))))
        others = {INPUT_BOXES.name, INPUT_OVERRIDE.name, *INPUTS.names}
        return (*boxes, *sorted(named - others))


class RunSpec(Identity, frozen=True, kw_only=True):
    """The identity of a run that is being planned. Equal specs identify the same run."""

    @classmethod
    def of(cls, identity: Identity) -> "RunSpec":
        """Return the spec of a run from any of its records."""
        return cls(**{name: getattr(identity, name) for name in cls.__struct_fields__})

    @property
    def run_id(self) -> str:
        """20 hex digits of a SHA-256 over all fields; the newer render_of counts only if it is set.

        At 80 bits the chance of a collision is one in 10¹² after 10⁶ runs (birthday bound n²/2⁸¹).
        """
        values = structs.asdict(self)
        if self.render_of is None:
            del values["render_of"]
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def next_generation(self) -> "RunSpec":
        """Return the same spec under another run id."""
        return structs.replace(self, generation=self.generation + 1)


def spec_differences(old: Identity, new: Identity) -> list[str]:
    """Describe how two identities differ: one phrase per field and per setting."""
    phrases = []
    for name in sorted({*old.settings, *new.settings}):
        was, now = (spec.settings.get(name, "absent") for spec in (old, new))
        if was != now:
            phrases.append(f"the setting {name} was {was!r} and is now {now!r}")
    for words, was, now in (
        ("the weights", old.weights_sha256, new.weights_sha256),
        ("the detector", old.detector, new.detector),
        ("the code", old.code_version, new.code_version),
        ("the input list", old.input_sha256, new.input_sha256),
    ):
        if was != now:
            phrases.append(f"{words} was {was[:60]} and is now {now[:60]}")
    return phrases


def input_sha256(inputs: pa.Table) -> str:
    """Hash a list: names, types and every value, independent of how the table is chunked.

    A value enters as its length, a colon and its text, a null as "-", so that two different lists
    never give the same text.
    """
    header = [(field.name, str(field.type)) for field in inputs.schema]
    digest = hashlib.sha256(json.dumps(header).encode())
    for piece in pieces(inputs, HASH_ROWS):
        for batch in piece.to_batches():
            values = []
            for column in batch.columns:
                text = _as_text(column)
                length = pc.binary_length(text.cast(pa.binary())).cast(pa.string())
                told = pc.binary_join_element_wise(length, text, ":")
                values.append(pc.if_else(pc.is_null(text), "-", told))
            digest.update("".join(pc.binary_join_element_wise(*values, "").to_pylist()).encode())
    return digest.hexdigest()


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_nested(column.type):
        values = column.to_pylist()
        return pa.array([None if v is None else json.dumps(v) for v in values], pa.string())
    return column.cast(pa.string())
