"""The small changes that can be made to one node of a module's syntax tree."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

# Arguments whose change no test could detect, and an option's texts for people.
UNDETECTABLE_KEYWORDS = {"strict", "thread_name_prefix", "daemon", "stacklevel", "compression"}
TEXT_KEYWORDS = {"help", "unit", "placeholder", "metavar"}  # of an option, for people
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
class Change:
    """A node and the text that replaces it; before and after are for people."""

    node: ast.AST
    operator: str
    before: str
    after: str
    text: str


def called(call: ast.Call) -> str:
    """Return the last name of the called expression."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def changes_of(node: ast.AST) -> Iterator[Change]:
    """Yield all changes of one node, not of its children."""
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
    """Return whether a literal string is an operand: other operators would only raise TypeError."""
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
    """Return whether a string is a sentence rather than a value."""
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
    name = called(node)
    for place, keyword in enumerate(node.keywords):
        if keyword.arg is None or keyword.arg in UNDETECTABLE_KEYWORDS | TEXT_KEYWORDS:
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
    """Yield comprehensions without one of their filters."""
    if isinstance(node, ast.comprehension):
        return  # it has no position of its own in the source
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
        case ast.Return(value=value) if value is not None and not _is_nothing(value):
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


def _is_nothing(value: ast.expr) -> bool:
    """Return whether a value is None or False: None in place of False is equally falsy."""
    return isinstance(value, ast.Constant) and (value.value is None or value.value is False)
