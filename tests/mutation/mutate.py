"""Make mutants of a module: its source with one small change each.

What is changed: comparisons, `and` and `or`, `not`, arithmetic, numbers, strings, booleans,
returned values, keyword arguments (left out), the order of two arguments, `min` and `max`, filters
of comprehensions, exceptions that are caught, and statements (left out).

What is not, as no test could or should tell it apart: documentation, annotations and what only a
type checker runs, `__all__`, arguments of decorators and of class statements, texts for people (a
string with a space in it; help, units and placeholders of options), `strict=` of `zip`, whether a
thread is a daemon, how Parquet is compressed, and module constants that set a pace only (PACE).
"""

import ast
import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass

PACE = re.compile(r"(_S|_MS|THREADS|READERS|WORKERS|AHEAD|AT_ONCE|BATCH|CHUNK)$")
UNTOLD_KEYWORDS = {"strict", "thread_name_prefix", "daemon", "stacklevel", "compression"}
TEXT_KEYWORDS = {"help", "unit", "placeholder", "metavar"}  # of an option, for people
TYPES_ONLY_CALLS = {"cast", "TypeVar", "NewType", "Literal"}
SYMMETRIC_CALLS = {"min", "max", "print", "gcd", "lcm", "isclose", "maximum", "minimum"}

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

    path:   of the module, from the root of the project
    where:  function or class that it is in, dotted; "" for the module itself
    line, last_line: of what is changed, counted from 1
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
        """What it is, wherever in its file it stands."""
        return f"{self.path} | {self.where} | {self.before} -> {self.after}"


@dataclass(frozen=True)
class Change:
    """A node that is to be replaced by a text; before and after are for people."""

    node: ast.AST
    operator: str
    before: str
    after: str
    text: str


def mutants_of(path: str, source: str) -> list[Mutant]:
    """All mutants of a module, in the order of its lines. Raises SyntaxError."""
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
    """Changes of a node and of what is below it, but for what is left alone."""
    for change in _of_node(node):
        yield change, ".".join(names)
    inside = [*names]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        inside.append(node.name)
    for child in _children(node):
        yield from _walk(child, inside)


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
        return True  # its places in the text are not known; the string is changed as a whole
    if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
        return True
    if isinstance(child, ast.keyword) and child.arg in UNTOLD_KEYWORDS | TEXT_KEYWORDS:
        return True
    if isinstance(parent, ast.Call) and _called(parent) == "option" and child in parent.args[1:]:
        return True  # what the option means, and its unit
    if isinstance(child, ast.Call) and _called(child) in TYPES_ONLY_CALLS:
        return True
    if isinstance(child, ast.Assign) and ast.unparse(child.targets[0]).endswith(".daemon"):
        return True
    if isinstance(child, ast.Assign | ast.AnnAssign) and isinstance(parent, ast.Module):
        targets = child.targets if isinstance(child, ast.Assign) else [child.target]
        name = targets[0].id if isinstance(targets[0], ast.Name) else ""
        return name == "__all__" or _is_type(child.value) or bool(PACE.search(name))
    return False


def _is_type(value: ast.AST | None) -> bool:
    """Whether what a module assigns looks like a type alias."""
    return isinstance(value, ast.Subscript) or (
        isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr)
    )


def _called(call: ast.Call) -> str:
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _of_node(node: ast.AST) -> Iterator[Change]:
    match node:
        case ast.Compare():
            yield from _comparisons(node)
        case ast.BoolOp():
            yield from _connectives(node)
        case ast.UnaryOp(op=ast.Not()):
            yield _expression(node, node.operand, "not")
        case ast.UnaryOp(op=ast.USub()):
            yield _expression(node, node.operand, "sign")
        case ast.BinOp() if type(node.op) in ARITHMETIC and not _joins_strings(node):
            changed = ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
            yield _expression(node, changed, "arithmetic")
        case ast.Constant():
            yield from _constants(node)
        case ast.JoinedStr():
            yield from _formatted(node)
        case ast.Call():
            yield from _calls(node)
        case (
            ast.comprehension()
            | ast.ListComp()
            | ast.SetComp()
            | ast.GeneratorExp()
            | (ast.DictComp())
        ):
            yield from _filters(node)
        case ast.ExceptHandler(type=ast.Tuple()):
            yield from _caught(node)
        case ast.stmt():
            yield from _statements(node)


def _expression(node: ast.expr, changed: ast.expr, operator: str) -> Change:
    after = ast.unparse(changed)
    return Change(node, operator, ast.unparse(node), after, f"({after})")


def _joins_strings(node: ast.BinOp) -> bool:
    """Whether a string is visibly a part: any other operator would only raise TypeError."""
    sides = (node.left, node.right)
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str | bytes))
        or (isinstance(side, ast.BinOp) and _joins_strings(side))
        for side in sides
    )


def _comparisons(node: ast.Compare) -> Iterator[Change]:
    for place, operator in enumerate(node.ops):
        operators = [*node.ops]
        operators[place] = COMPARISONS[type(operator)]()
        yield _expression(node, ast.Compare(node.left, operators, node.comparators), "comparison")


def _connectives(node: ast.BoolOp) -> Iterator[Change]:
    other = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
    yield _expression(node, ast.BoolOp(other, node.values), "connective")
    for place in range(len(node.values)):
        rest = node.values[:place] + node.values[place + 1 :]
        yield _expression(
            node, rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest), "part of a condition"
        )


def _constants(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield _expression(node, ast.Constant(not value), "boolean")
    elif isinstance(value, int | float):
        yield _expression(node, ast.Constant(value + 1 if value < 2 else value * 2), "number")
    elif isinstance(value, str) and not is_for_people(value):
        yield _expression(node, ast.Constant(value + "XX"), "string")
    elif isinstance(value, bytes) and value:
        yield _expression(node, ast.Constant(value + b"XX"), "string")


def is_for_people(text: str) -> bool:
    """Whether a string is a sentence rather than a value."""
    return " " in text.strip() or text != text.strip() or "\n" in text


def _formatted(node: ast.JoinedStr) -> Iterator[Change]:
    texts = [part for part in node.values if isinstance(part, ast.Constant)]
    if not texts or any(is_for_people(str(part.value)) for part in texts):
        return
    changed = copy.deepcopy(node)
    for part in changed.values:
        if isinstance(part, ast.Constant):
            part.value = str(part.value) + "XX"
            break
    yield _expression(node, changed, "string")


def _calls(node: ast.Call) -> Iterator[Change]:
    name = _called(node)
    for place, keyword in enumerate(node.keywords):
        if keyword.arg is None or keyword.arg in UNTOLD_KEYWORDS | TEXT_KEYWORDS:
            continue
        rest = node.keywords[:place] + node.keywords[place + 1 :]
        yield _expression(node, ast.Call(node.func, node.args, rest), "argument")
    if name in ("min", "max") and isinstance(node.func, ast.Name):
        other = ast.Name("max" if name == "min" else "min")
        yield _expression(node, ast.Call(other, node.args, node.keywords), "min and max")
    for place, (one, two) in enumerate(zip(node.args, node.args[1:], strict=False)):
        same_kind = isinstance(one, ast.Name | ast.Attribute) and type(one) is type(two)
        if same_kind and ast.unparse(one) != ast.unparse(two) and name not in SYMMETRIC_CALLS:
            swapped = [*node.args]
            swapped[place], swapped[place + 1] = two, one
            yield _expression(node, ast.Call(node.func, swapped, node.keywords), "order")


def _filters(node: ast.AST) -> Iterator[Change]:
    """Comprehensions without one of their filters."""
    if isinstance(node, ast.comprehension):
        return  # has no place in the text of its own
    for which, generator in enumerate(node.generators):  # type: ignore[attr-defined]
        for place in range(len(generator.ifs)):
            changed = copy.deepcopy(node)
            del changed.generators[which].ifs[place]  # type: ignore[attr-defined]
            after = ast.unparse(changed)
            text = after if isinstance(node, ast.GeneratorExp) else f"({after})"
            yield Change(node, "filter", ast.unparse(node), after, text)


def _caught(node: ast.ExceptHandler) -> Iterator[Change]:
    kinds = node.type
    assert isinstance(kinds, ast.Tuple)
    for place in range(len(kinds.elts)):
        rest = ast.Tuple(kinds.elts[:place] + kinds.elts[place + 1 :], ast.Load())
        yield _expression(kinds, rest, "exception")


def _statements(node: ast.stmt) -> Iterator[Change]:
    before = ast.unparse(node).split("\n")[0]
    match node:
        case ast.Return(value=value) if value is not None and not _is_none(value):
            yield Change(node, "returned value", before, "return None", "return None")
        case (
            ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign() | ast.Raise() | ast.Delete()
        ):
            yield Change(node, "statement", before, "pass", "pass")
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield Change(node, "statement", before, "pass", "pass")
        case ast.Continue():
            yield Change(node, "statement", before, "break", "break")
        case ast.Break():
            yield Change(node, "statement", before, "continue", "continue")


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None
