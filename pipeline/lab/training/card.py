"""The card of a weights file: network, training data, settings, measures."""

import hashlib
from dataclasses import asdict, dataclass, field
from math import isnan
from pathlib import Path
from textwrap import fill
from typing import Any

from torch import Tensor

from pipeline.lab.json_text import json_text
from pipeline.lab.weight_files import write_tensors
from pipeline.output_files import write_text_atomic

COLUMNS = 120  # of the notes in Markdown, as in all its documentation


@dataclass(frozen=True)
class Card:
    """The facts about a weights file, written as JSON and as Markdown."""

    title: str
    network: str
    preset: str | None
    data: dict[str, Any]
    settings: dict[str, Any]
    measures: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def write_weights(folder: Path, name: str, tensors: dict[str, Tensor], card: Card) -> Path:
    """Write `<name>.safetensors`, atomically, and its cards, into a folder."""
    path = folder / f"{name}.safetensors"
    write_tensors(path, tensors)
    write_cards(folder, name, card)
    return path


def write_cards(folder: Path, name: str, card: Card) -> None:
    """Write `<name>.json` and `<name>.md`, with the sha256 of the existing weights file."""
    data = (folder / f"{name}.safetensors").read_bytes()
    facts = {**asdict(card), "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    shown = json_text(facts, 2, sort_keys=True) + "\n"
    write_text_atomic(folder / f"{name}.json", shown)
    write_text_atomic(folder / f"{name}.md", markdown(facts))


def markdown(card: dict[str, Any]) -> str:
    """Format the card as Markdown: one table each for the file, data, measures and settings."""
    notes = (fill(note, COLUMNS, break_on_hyphens=False) for note in card["notes"])
    lines = [f"# {card['title']}", "", *(f"{note}\n" for note in notes)]
    facts = {key: card[key] for key in ("network", "preset", "bytes", "sha256")}
    sections = {"File": facts, **{key.capitalize(): card[key] for key in _SECTIONS}}
    for title, rows in sections.items():
        lines += [f"## {title}", "", "| | |", "|---|---|"]
        lines += [f"| {key.replace('_', ' ')} | {_shown(value)} |" for key, value in rows.items()]
        lines.append("")
    return "\n".join(lines)


_SECTIONS = ("data", "measures", "settings")


def _shown(value: object) -> str:
    if isinstance(value, float) and isnan(value):
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "\\|")
