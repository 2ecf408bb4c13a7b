"""All errors that the product raises on purpose, in one tree.

    Exception
    ├── CropError(status, message)      one photo failed; becomes one row of `images`
    │   ├── ReadError    stage "read"    the object could not be fetched
    │   ├── DecodeError  stage "decode"  the bytes are not a photo we accept
    │   ├── DetectError  stage "detect"  the object detector failed on it
    │   ├── ScoreError   stage "score"   the network failed on it
    │   └── EncodeError  stage "encode"  a crop could not be cut or encoded
    ├── LedgerError(message)            the run as a whole cannot continue (exit code 1)
    │   ├── RecordError                  one object of a run is damaged, foreign or too new
    │   ├── GpuShareError                a scoring worker's share of a GPU has too little memory
    │   └── UnknownRunError              no run has that id; also a UsageError (exit code 2)
    └── UsageError(message)             wrong arguments; a ValueError (exit code 2)
        ├── UnknownRunError
        ├── NothingToDoError             nothing is left to do; no command fails on it
        └── SettingError(field, problem)    one setting has a value that makes no sense

In a run only `pipeline.stages` catches a CropError, and writes it as a row. The other two
propagate.
"""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

SHORTEST_SECRET = 4  # characters; replacing shorter words would garble a message
FailureKind = Literal["permanent", "transient", "circumstances"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest known name, as the end of a message; "" if no name is near.

    That is the only name that begins like this, such as a run's whole id, else a similar one.
    """
    names = list(known)
    begun = [one for one in names if name and one.startswith(name)]
    near = begun if len(begun) == 1 else difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Replace each word of the secrets that a library was given by *** in its error message.

    Words are replaced singly, since the library may show a line break in a secret as two
    characters. Words of fewer than SHORTEST_SECRET characters are left as they are.
    """
    words = {word for secret in secrets for word in secret.split() if len(word) >= SHORTEST_SECRET}
    for word in sorted(words, key=len, reverse=True):  # one may be a part of another
        text = text.replace(word, "***")
    return text


class CropError(Exception):
    """One photo failed at one stage.

    status:  the short reason that goes into `images.status`, for instance "truncated".
    message: one sentence for a person.
    kind:    "transient" if another attempt at the same bytes may succeed; "circumstances" if
             something around them must change first: permissions, keys, the object's location,
             installed packages, the run's limits; else "permanent": these bytes never work.
    """

    stage: ClassVar[str] = "run"
    transient_statuses: ClassVar[frozenset[str]] = frozenset()
    circumstance_statuses: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, status: str, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    @property
    def kind(self) -> FailureKind:
        if self.status in self.transient_statuses:
            return "transient"
        return "circumstances" if self.status in self.circumstance_statuses else "permanent"

    def __str__(self) -> str:
        return f"{self.stage}: {self.status}: {self.message}"


class ReadError(CropError):
    """The object could not be fetched.

    Permanent:     bad_uri (the text is no address).
    Transient:     throttled, network, timeout.
    Circumstances: not_found, changed (another ETag than planned), too_large, forbidden,
                   credentials (wrong or expired), requester_pays, archived, encrypted (its key is
                   not available), wrong_region, locked, legal, store_refused (any other answer).
    """

    stage = "read"
    transient_statuses = frozenset({"throttled", "network", "timeout"})
    circumstance_statuses = frozenset(
        {"not_found", "changed", "too_large", "forbidden", "credentials", "requester_pays",
         "archived", "encrypted", "wrong_region", "locked", "legal", "store_refused"}
    )  # fmt: skip


class DecodeError(CropError):
    """The bytes are not a photo we accept.

    Permanent: unsupported_format, truncated, corrupt, empty. Transient, since a busy machine can
    cause them: timeout, decoder_died. Circumstances: extra_missing (a format whose package is not
    installed); over a limit of the run: too_large (bytes), too_many_pixels, too_many_scans,
    too_many_frames, too_much_memory.
    """

    stage = "decode"
    transient_statuses = frozenset({"timeout", "decoder_died"})
    circumstance_statuses = frozenset(
        {"extra_missing", "too_large", "too_many_pixels", "too_many_scans", "too_many_frames",
         "too_much_memory"}
    )  # fmt: skip


class DetectError(CropError):
    """The detector failed on this photo, or its given boxes are unusable or could not be read.

    Permanent: boxes_missing, boxes_invalid. Transient: out_of_memory, timeout. A box file that
    cannot be read has ReadError's statuses and kinds, except boxes_missing in place of not_found.
    """

    stage = "detect"
    transient_statuses = frozenset({"out_of_memory", "timeout"}) | ReadError.transient_statuses
    circumstance_statuses = ReadError.circumstance_statuses


class ScoreError(CropError):
    """The network failed on this photo, or gave a score that is not finite."""

    stage = "score"
    transient_statuses = frozenset({"out_of_memory", "timeout"})


class EncodeError(CropError):
    """A chosen crop could not be cut or encoded.

    A store that refuses a crop's own object is no failure of the photo: that error propagates, as
    for the tables. Circumstances: encoder_missing (its package is not installed on the worker's
    machine).
    """

    stage = "encode"
    transient_statuses = frozenset({"timeout", "out_of_memory"})
    circumstance_statuses = frozenset({"encoder_missing"})


class LedgerError(RuntimeError):
    """The run as a whole cannot continue: the store refuses, or its records contradict the job."""


class RecordError(LedgerError):
    """One object of a run cannot be used: damaged, half-written, foreign or of a newer release.

    key:     its key in the store.
    problem: what is wrong with it.
    advice:  what to do, one or two sentences.
    """

    def __init__(self, key: str, problem: str, advice: str) -> None:
        super().__init__(key, problem, advice)
        self.key, self.problem, self.advice = key, problem, advice

    def __str__(self) -> str:
        return f"{self.key} cannot be used: {self.problem}. {self.advice}"


class GpuShareError(LedgerError):
    """A scoring worker's share of its GPU has too little memory. enough: a share that has."""

    def __init__(self, message: str, enough: float) -> None:
        super().__init__(message, enough)
        self.message, self.enough = message, enough

    def __str__(self) -> str:
        return self.message


class UsageError(ValueError):
    """Wrong arguments. The message names them and says what to write instead."""


class UnknownRunError(UsageError, LedgerError):
    """No run has the given id: a wrong argument and a missing record.

    It is still a LedgerError too, for callers that carry on without a run that is gone.
    """


class NothingToDoError(UsageError):
    """The request leaves nothing to do, such as no failure to retry; no command fails on it."""


class SettingError(UsageError):
    """One setting has a value that makes no sense.

    field:   name of the setting, for instance "top_k"; a command line spells it `--top-k`.
    problem: what is wrong with it, to be read after the name: "must be at least 1, not 0".
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.field} {self.problem}"


@contextmanager
def naming(field: str) -> Iterator[None]:
    """Name the setting whose value the block uses in each UsageError that names none."""
    try:
        yield
    except (SettingError, NothingToDoError):
        raise
    except UsageError as error:
        raise SettingError(field, f"is wrong: {error}") from error
