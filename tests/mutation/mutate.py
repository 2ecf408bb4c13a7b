"""Make mutants of a module: its source with one small change each.

Changed are: comparisons, `and` and `or`, `not`, arithmetic, numbers, strings, booleans, returned
values, keyword arguments (left out), the order of two arguments, `min` and `max`, filters of
comprehensions, exceptions that are caught, and statements (left out).

Not changed, because no test could or should notice: documentation, annotations and code only for
type checkers, `__all__`, arguments of decorators and of class statements, texts for people (a
string with a space in it; help, units and placeholders of options), `strict=` of `zip`, whether a
thread is a daemon, the fields of a C structure, how Parquet is compressed, None in place of False,
and module constants that only set a pace, or how many rows are in memory at a time (PACE).
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutation.changes import TEXT_KEYWORDS, UNDETECTABLE_KEYWORDS, Change, called, changes_of

# Some set how many rows are in memory at a time, which changes no result: the tests of long tables
# set them so low that short tables are handled like long ones (`tests/support/small_pieces.py`).
ROWS_AT_A_TIME = "(CHUNK|HASH|HELD|PART|PIECE|RANGE)_ROWS"
PACE = re.compile(
    "(_S|_MS|THREADS|READERS|WRITERS|^COPIES|WORKERS|AHEAD|AT_ONCE|BATCH|CHUNK|"
    rf"{ROWS_AT_A_TIME})$"
)
TYPES_ONLY_CALLS = {"cast", "TypeVar", "NewType", "Literal"}


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    path:   of the module, from the root of the project
    where:  the enclosing function or class, dotted; "" for the module itself
    line, last_line: of the changed code, counted from 1
    before, after: the changed piece as Python writes it
    source: the whole module with the change
    """

    path: str
    where: str
    line: int
    last_line: int
    operator: str
    before: str
    after: str
    source: str

    @property
    def key(self) -> str:
        """An identifier that does not depend on its position in the file."""
        return f"{self.path} | {self.where} | {self.before} -> {self.after}"


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of its lines. Raises SyntaxError."""
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    text = source.encode()
    found = []
    for change, where in _changes(ast.parse(source)):
        node = change.node
        begin = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        mutated = (text[:begin] + change.text.encode() + text[end:]).decode()
        if mutated == source or not _compiles(mutated):
            continue
        found.append(
            Mutant(
                path,
                where,
                node.lineno,
                node.end_lineno,  # type: ignore[attr-defined]
                change.operator,
                change.before,
                change.after,
                mutated,
            )
        )
    return sorted(found, key=lambda mutant: (mutant.line, mutant.operator, mutant.after))


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def _changes(tree: ast.Module) -> Iterator[tuple[Change, str]]:
    yield from _walk(tree, [])


def _walk(node: ast.AST, names: list[str]) -> Iterator[tuple[Change, str]]:
    """Yield the changes of a node and its descendants, except excluded ones."""
    for change in changes_of(node):
        yield change, ".".join(names)
    inside = [*names]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        inside.append(node.name)
    for child in _children(node):
        # Defaults of arguments belong to the scope that defines the function.
        yield from _walk(child, names if isinstance(child, ast.arguments) else inside)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "bases"):
            continue
        if name == "keywords" and isinstance(node, ast.ClassDef):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_left_alone(node, child):
                yield child


def _is_left_alone(parent: ast.AST, child: ast.AST) -> bool:
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
        return True  # documentation
    if isinstance(parent, ast.JoinedStr | ast.FormattedValue):
        return True  # positions of its parts are unknown; the string is changed as a whole
    if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
        return True
    if isinstance(child, ast.keyword) and child.arg in UNDETECTABLE_KEYWORDS | TEXT_KEYWORDS:
        return True
    if isinstance(parent, ast.Call) and called(parent) == "option" and child in parent.args[1:]:
        return True  # the option's help text and unit
    if isinstance(child, ast.Call) and called(child) in TYPES_ONLY_CALLS:
        return True
    if isinstance(child, ast.Assign) and ast.unparse(child.targets[0]).endswith(".daemon"):
        return True
    if isinstance(child, ast.Assign) and ast.unparse(child.targets[0]) == "_fields_":
        return True  # fields of a C structure: names are arbitrary, and the code needs those in use
    if isinstance(child, ast.Assign | ast.AnnAssign) and isinstance(parent, ast.Module):
        targets = child.targets if isinstance(child, ast.Assign) else [child.target]
        name = targets[0].id if isinstance(targets[0], ast.Name) else ""
        return name == "__all__" or _is_type(child.value) or bool(PACE.search(name))
    return False


def _is_type(value: ast.AST | None) -> bool:
    """Return whether a module-level value looks like a type alias."""
    return isinstance(value, ast.Subscript) or (
        isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr)
    )
