"""Build every command from a dataclass and a function, in the same way.

    def main(arguments=None) -> int:
        return run(Options, __doc__, work, arguments)

Each field of the dataclass is one option, as `pipeline.options` declares it; a field that is a
dataclass itself is a group of options. Library errors name fields, which are shown as flags here.
argparse does the parsing, so `--help` imports nothing beyond the standard library.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, NoReturn, TypeVar, get_type_hints

from pipeline.code_version import RELEASE
from pipeline.errors import LedgerError, SettingError, UsageError, did_you_mean
from pipeline.extras import extra_needed
from pipeline.shown_options import flag, is_group, shown_options, title_of
from pipeline.standard_output import (
    READER_GONE,
    discard_output,
    output_problem,
    take_all_characters,
)

T = TypeVar("T")
COMMAND = "COMMAND"  # placeholder of a subcommand
CommandOptions = type[T] | Mapping[str, type[T]]
FAILED, USAGE, INTERRUPTED = 1, 2, 130
SHOWN_WORDS = 3  # surplus words that a message repeats


def run(
    kind: CommandOptions[T],
    about: str | None,
    work: Callable[[T], int],
    arguments: Sequence[str] | None = None,
) -> int:
    """Read a command line, do the work, return the exit code.

    kind:  dataclass of the options, or one for each subcommand by its name
    about: the help's first part, usually the module's docstring
    work:  receives the options and returns an exit code

    A UsageError becomes one line on stderr and exit code 2, a LedgerError one line and code 1,
    Ctrl-C one line and code 130; others propagate. Standard output that cannot be written is one
    line and code 1; if its reader ends the work by leaving, code 141 as in shells. Raises
    SystemExit as argparse does: 0 for `--help` and `--version`, 2 for an option that is unknown,
    missing or of the wrong type.
    """
    for stream in (sys.stdout, sys.stderr):
        take_all_characters(stream)
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser = parser_of(kind, about)
    _refuse_unknown(parser, kind, words)
    found = _read(parser, kind, words)
    try:
        with extra_needed():
            options = _build(kind if isinstance(kind, type) else kind[found["command"]], found)
            code = work(options)
        return _flushed(code, parser.prog)
    except UsageError as error:
        print(f"{parser.prog}: {message_with_flags(error)}", file=sys.stderr)
        return USAGE
    except LedgerError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        problem = output_problem(error)
        if problem is None:
            raise
        return _output_lost(problem, READER_GONE, parser.prog)


def _flushed(code: int, prog: str) -> int:
    """Flush standard output, where a failure can still be reported; return the exit code."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return _output_lost(error, code, prog)
    return code


def _output_lost(problem: OSError, reader_gone: int, prog: str) -> int:
    """Return the exit code of a command whose output is lost, and report why.

    reader_gone: the code if the reader has closed the pipe, as `| head` does, which is no error.
    """
    discard_output(sys.stdout)
    if isinstance(problem, BrokenPipeError):
        return reader_gone
    print(f"{prog}: the output cannot be written: {problem.strerror or problem}", file=sys.stderr)
    return FAILED


def message_with_flags(error: UsageError) -> str:
    """Return an error's message with the setting in it spelt as its flag."""
    if isinstance(error, SettingError):
        return f"{flag(error.field)} {error.problem}"
    return str(error)


def parser_of(kind: CommandOptions[T], about: str | None) -> argparse.ArgumentParser:
    """Build a command's parser, whose result is flat: one attribute for each field."""
    parser = _Parser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    version = f"%(prog)s {RELEASE}"
    parser.add_argument("--version", action="version", version=version, help="show the release")
    if isinstance(kind, type):
        _add_options(parser, kind)
        return parser
    commands = parser.add_subparsers(dest="command", required=True, metavar=COMMAND)
    for name, options in kind.items():
        does = title_of(options)
        _add_options(commands.add_parser(name, help=does, description=does), options)
    return parser


def option_tables(kind: CommandOptions[T]) -> dict[str, list[tuple[str, str, str]]]:
    """List the options as (as typed, default, meaning) by the title of group or subcommand."""
    if not isinstance(kind, type):
        return {
            f"{name}: {title_of(each)}": [
                row for rows in option_tables(each).values() for row in rows
            ]
            for name, each in kind.items()
        }
    names = {option.field.name for option in shown_options(kind)}
    groups: dict[str, list[tuple[str, str, str]]] = {}
    for option in shown_options(kind):
        default = "" if option.about["required"] else option.default
        row = (option.word, default, option.text(names))
        groups.setdefault(option.group, []).append(row)
    return groups


class _Parser(argparse.ArgumentParser):
    """Suggests the intended command or value where one is misspelt."""

    def error(self, message: str) -> NoReturn:
        found = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
        if found:
            choices = [name.strip("' ") for name in found[2].split(",")]
            message += did_you_mean(found[1], choices)
        if message.endswith(f"required: {COMMAND}"):
            message += "; --help lists them"
        super().error(message)


def _add_options(parser: argparse.ArgumentParser, kind: type) -> None:
    """Add all options, required ones first and the others in their groups."""
    options = sorted(shown_options(kind), key=lambda option: not option.about["required"])
    names = {option.field.name for option in options}
    shown = [option for option in options if option.about["required"] or option.about["positional"]]
    needed = [one.word if one.about["required"] else f"[{one.word}]" for one in shown]
    parser.usage = " ".join(["%(prog)s", *needed, "[options]"])
    groups: dict[str, Any] = {"options": parser}
    for option in options:
        name = "options" if option.about["required"] else option.group
        if name not in groups:
            groups[name] = parser.add_argument_group(name)
        option.add_to(groups[name], names)


def _refuse_unknown(
    parser: argparse.ArgumentParser, kind: CommandOptions[T], words: list[str]
) -> None:
    """Exit on an option that does not exist, suggesting the one that may be meant.

    A long name after a single dash does not exist: argparse would read `-ratios` as `-r` with a
    value.
    """
    kinds = [kind] if isinstance(kind, type) else [*kind.values()]
    known = {"--help", "--version"}
    if not isinstance(kind, type) and words and words[0] in kind:
        kinds, known, parser = [kind[words[0]]], {"--help"}, _subparser(parser, words[0])
    known |= {flag(option.field.name) for each in kinds for option in shown_options(each)}
    for word in words[: words.index("--")] if "--" in words else words:
        name = word.partition("=")[0]
        is_long = name.startswith("--") or re.match(r"-[a-z]{2}", name)
        if is_long and not any(option.startswith(name) for option in known):
            parser.error(f"there is no option {name}{did_you_mean(name, known)}")


def _read(
    parser: argparse.ArgumentParser, kind: CommandOptions[T], words: list[str]
) -> dict[str, Any]:
    """Parse a command line into values by field name. Exits on surplus words.

    argparse fills an optional positional before it has read the options. A word after the options,
    which the usage line also allows, is left over and is assigned to that positional here.
    """
    given, late = parser.parse_known_args(words)
    found = vars(given)
    if not isinstance(kind, type):
        kind, parser = kind[found["command"]], _subparser(parser, found["command"])
    if late and (late[0] == "--" or not late[0].startswith("-")):
        late = [word for word in late if word != "--"]
        for option in shown_options(kind):
            name, about = option.field.name, option.about
            is_open = about["positional"] and not about["required"] and option.type is str
            if late and is_open and found[name] == option.field.default:
                found[name] = late.pop(0)
    if late:
        shown = " ".join(late[:SHOWN_WORDS]) + (" …" if len(late) > SHOWN_WORDS else "")
        are_files = all(os.path.exists(word) for word in late[:SHOWN_WORDS])
        advice = "; put a pattern in quotes, or the shell replaces it by files" if are_files else ""
        parser.error(f"unrecognized arguments: {shown}{advice}")
    return found


def _subparser(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    """Return the parser of a subcommand."""
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    found: argparse.ArgumentParser = commands.choices[name]
    return found


def _build(kind: type[T], found: Mapping[str, Any]) -> T:
    """Build the dataclass from the parsed values. Raises UsageError as the dataclass does."""
    types = get_type_hints(kind)
    values = {}
    for item in fields(kind):  # type: ignore[arg-type]
        inner = types[item.name]
        value = _build(inner, found) if is_group(inner) else found[item.name]
        values[item.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
