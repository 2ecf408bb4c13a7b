"""The page of a proof: one table for each step, made only from the JSON document."""

from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark } body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem;
margin: 2rem auto; padding: 0 1rem } table { border-collapse: collapse; margin: .5rem 0 1.5rem }
td, th { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #8884;
font-variant-numeric: tabular-nums } .scroll { overflow-x: auto }
"""


def page(document: dict[str, Any]) -> str:
    """Make the HTML of a whole document, with nothing else in it."""
    machine = document.get("machine", {})
    title = f"GPU proof: {machine.get('gpu', 'no GPU')}, {machine.get('date', '')}"
    parts = [f"<h1>{escape(title)}</h1>"]
    for step, values in document.items():
        parts.append(f"<h2>{escape(step)}</h2>{section(values)}")
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def section(values: Any) -> str:
    """Format a list of rows as a table, a mapping as names and values, recursively."""
    if isinstance(values, list) and values and isinstance(values[0], dict):
        return table(values)
    if isinstance(values, dict):
        simple = {k: v for k, v in values.items() if not isinstance(v, list | dict)}
        nested = {k: v for k, v in values.items() if k not in simple}
        rows = [{"": name, " ": value} for name, value in simple.items()]
        below = "".join(
            f"<h3>{escape(name)}</h3>{section(value)}" for name, value in nested.items()
        )
        return (table(rows) if rows else "") + below
    return f"<p>{escape(str(values))}</p>"


def table(rows: list[dict[str, Any]]) -> str:
    """Format rows as a table, with columns in the order of first occurrence."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    lines = [
        "".join(f"<td>{escape(str(row.get(name, '')))}</td>" for name in names) for row in rows
    ]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'
