"""What all commands on an output store share: the address, and output as text or as JSON."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import LedgerError, UsageError
from pipeline.options import option
from pipeline.standard_output import discard_output, take_all_characters
from pipeline.storage.addresses import local_path, scheme_of
from pipeline.storage.store import Store, check_reachable, open_store


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command on an output store."""

    output: str = option(
        help="folder or s3:// prefix that holds the runs", placeholder="OUTPUT", positional=True
    )
    json: bool = option(False, "print one JSON object per line")

    @property
    def store(self) -> Store:
        """The output store. Makes no request."""
        return open_store(self.output)

    def start(self) -> int:
        """Carry the command out if its output store exists; returns the exit code.

        Raises UsageError if an S3 address does not answer, a local folder does not exist, or a run
        is needed where there is none, not even an open one: the address is of something else.
        """
        check_reachable(self.output)
        _check_folder(self.store.uri)
        try:
            return self.run()
        except LedgerError as error:
            # Subclasses tell something else, such as a store that does not answer.
            is_plain = type(error) is LedgerError
            if not is_plain or not all(n.startswith("_") for n in self.store.folders("runs/")):
                raise
            message = f"there are no runs in {self.store.uri}: name the output of a job"
            raise UsageError(message) from error

    def run(self) -> int:
        """Carry the command out; returns the exit code."""
        raise NotImplementedError

    def print_records(
        self,
        records: Iterable[Mapping[str, Any]],
        in_words: Callable[[Mapping[str, Any]], str],
        header: str = "",
    ) -> None:
        """Print records, one a line, as JSON or as text, until the reader closes the pipe.

        JSON, also that of `block`, is UTF-8. header: a line before the text, not before JSON. A
        closed pipe (`| head`) is no error.
        """
        take_all_characters(sys.stdout, for_programs=self.json or in_words is block)
        try:
            if header and not self.json:
                print(header)
            for record in records:
                print(json.dumps(record, ensure_ascii=False) if self.json else in_words(record))
            sys.stdout.flush()
        except BrokenPipeError:
            discard_output(sys.stdout)


@dataclass(frozen=True, kw_only=True)
class OneRun(Command):
    """A command on one run."""

    run_id: str = option(help="run id, see `list`", placeholder="RUN_ID", positional=True)


def _check_folder(output: str) -> None:
    """Raise UsageError if a local output does not exist."""
    if scheme_of(output) != "file":
        return
    try:
        os.stat(local_path(output))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(f"there is no folder {local_path(output)}") from error
    except OSError:  # it can't be checked: the first request will report the problem
        return


def block(record: Mapping[str, Any]) -> str:
    """Format a record as indented JSON, for a person."""
    return json.dumps(record, indent=2, ensure_ascii=False)
