"""What a worker process is given, and what it keeps open: store, ledger, decoding child."""

from dataclasses import dataclass
from functools import lru_cache

from pipeline.cropping.weights import Weights
from pipeline.ledger.ledger import Ledger
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.planes import Colour
from pipeline.photo.sandbox.decoder import Decoder
from pipeline.photo.sandbox.wall import filter_problem
from pipeline.settings import Settings
from pipeline.storage.store import Store, open_store


@dataclass(frozen=True)
class Job:
    """What every stage is told; small, since it travels with each task.

    sample: where a sample that is to be measured stands in for the run: its store, which holds its
        plan and keeps nothing, in place of the output.
    images: photos of the run that it stands for; None where the run is done itself.
    repeats: whether every photo has failed before.
    decisions_of: the committed run whose decisions are taken; None where the job decides itself.
    """

    settings: Settings
    weights: Weights
    run_id: str
    sample: Store | None = None
    images: int | None = None
    decisions_of: str | None = None
    repeats: bool = False


_SAMPLES: dict[str, Ledger] = {}  # of this process
_DECODERS: dict[tuple[DecodeLimits, int, Colour], Decoder] = {}  # of this process: at most one


def decoder_for(limits: DecodeLimits, view_side: int, colour: Colour = "srgb") -> Decoder:
    """The decoding child of this process; it is replaced when what it is given changes."""
    given = (limits, view_side, colour)
    if given not in _DECODERS:
        end_worker()
        _DECODERS[given] = Decoder(*given)
    return _DECODERS[given]


def missing_wall() -> str | None:
    """Why this machine can't shut decoding in by system calls; None where it can."""
    return filter_problem()


def decoder_cpu_s() -> float:
    """CPU seconds of the decoding child that runs now; 0 where there is none."""
    return sum(decoder.cpu_s() for decoder in _DECODERS.values())


def end_worker() -> None:
    """End the decoding child. Ray's workers need not call this: the child ends with them."""
    for decoder in _DECODERS.values():
        decoder.close()
    _DECODERS.clear()


def output_store(job: Job) -> Store:
    """The store that the job writes to, opened once a process."""
    return job.sample or _store_at(job.settings.running.output)


@lru_cache(maxsize=1)
def _store_at(output: str) -> Store:
    return open_store(output)


@lru_cache(maxsize=1)
def _ledger_at(output: str, run_id: str) -> Ledger:
    return Ledger(_store_at(output), run_id)


def ledger_of(job: Job) -> Ledger:
    """The ledger of the job's run, made once a process."""
    if job.sample is not None:  # each task brings a copy; one is kept, with what it has read
        return _SAMPLES.setdefault(job.run_id, Ledger(job.sample, job.run_id))
    return _ledger_at(job.settings.running.output, job.run_id)


def one_thread() -> None:
    """Limit torch and OpenCV to one thread: a machine runs one scoring worker a core.

    Beside a GPU too: there, other workers keep the other cores busy, and a picture that OpenCV
    resizes by a thread for each core waits for the last of them. Sums are also added up in one
    order then, so that scores do not depend on the machine. Only scoring needs this: it imports
    torch, which the other stages' workers never load.
    """
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
