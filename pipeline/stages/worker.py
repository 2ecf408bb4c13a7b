"""Hold a worker process's job, and what it keeps open: store, ledger, decoding child."""

from dataclasses import dataclass, field
from functools import lru_cache, partial
from secrets import token_hex

from pipeline.cropping.weights import Weights
from pipeline.ledger.ledger import Ledger
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.planes import Colour
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.photo.sandbox.isolation import filter_problem
from pipeline.settings import Settings
from pipeline.storage.store import Store, open_store


@dataclass(frozen=True)
class Job:
    """What every stage needs to know; small, since it is sent with each task.

    sample: for an estimate, the store that is used in place of the output: it contains the plan of
        the sample and keeps nothing that is written; else None.
    images: photos of the run that the sample represents; None for a run itself.
    repeats: whether every photo has failed before.
    session: a random text; a command that is called again continues the run in another session.
    decisions_of: the committed run whose decisions are used; None if the job decides itself.
    """

    settings: Settings
    weights: Weights
    run_id: str
    sample: Store | None = None
    images: int | None = None
    decisions_of: str | None = None
    repeats: bool = False
    session: str = field(default_factory=partial(token_hex, 8))


_SAMPLES: dict[str, Ledger] = {}  # of this process
_DECODERS: dict[tuple[DecodeLimits, Colour], Decoder] = {}  # of this process: at most one


def decoder_for(limits: DecodeLimits, colour: Colour = "srgb") -> Decoder:
    """Return the decoding child of this process, which is replaced when an argument changes."""
    given = (limits, colour)
    if given not in _DECODERS:
        end_worker()
        _DECODERS[given] = Decoder(limits, colour=colour)
    return _DECODERS[given]


def sandbox_problem() -> str | None:
    """Return why this machine can't filter the decoding child's system calls; None if it can."""
    return filter_problem()


def decoder_cpu_s() -> float:
    """Return the CPU seconds of the running decoding child; 0 if there is none."""
    return sum(decoder.cpu_s() for decoder in _DECODERS.values())


def end_worker() -> None:
    """End the decoding child. Ray's workers need not call this: the child ends with them."""
    for decoder in _DECODERS.values():
        decoder.close()
    _DECODERS.clear()


def output_store(job: Job) -> Store:
    """Return the store that the job writes to, opened once per process."""
    return job.sample or _store_at(job.settings.running.output)


@lru_cache(maxsize=1)
def _store_at(output: str) -> Store:
    return open_store(output)


@lru_cache(maxsize=1)
def _ledger_at(output: str, run_id: str) -> Ledger:
    return Ledger(_store_at(output), run_id)


def ledger_of(job: Job) -> Ledger:
    """Return the ledger of the job's run, created once per process."""
    if job.sample is not None:  # each task brings a copy; the first is kept, with what it has read
        return _SAMPLES.setdefault(job.run_id, Ledger(job.sample, job.run_id))
    return _ledger_at(job.settings.running.output, job.run_id)


def one_thread() -> None:
    """Limit torch and OpenCV to one thread: a machine runs one scoring worker per core.

    This holds with a GPU too: other workers keep the other cores busy, and a picture that OpenCV
    resizes with one thread per core would wait for the slowest of them. Sums are also added up in
    a fixed order, so that scores do not depend on the machine. Only scoring needs this: it imports
    torch, which the other stages' workers never load.
    """
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
