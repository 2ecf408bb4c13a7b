"""Where a run is written and how it is carried out: nothing here is in a run's identity."""

from dataclasses import dataclass
from typing import Literal

from pipeline.errors import SettingError
from pipeline.gate import DEFAULT_GATE, check_channel, parse_gate
from pipeline.options import LONGEST_S, check, option

_MIB = 1 << 20
LEAST_SHARE = 0.0001  # of a GPU: Ray counts them to four digits
# They depend on the terminal and machine of a call, so a run that repeats another's work does not
# take them over from it.
CALL_ONLY = ("log_format", "metrics_port", "metrics_host", "metrics_file")


@dataclass(frozen=True)
class RunningSettings:
    """Where a run is written and how its work is distributed; the crops stay the same."""

    output: str = option(
        "", "folder or s3:// prefix that holds the runs", placeholder="ADDRESS", required=True
    )
    dry_run: bool = option(False, "plan the run and report what would be done")
    promote: Literal["auto", "manual"] = option(
        "auto",
        "`auto` makes the run live at its commit if the gate holds; `manual` leaves that to "
        "runs.py promote",
    )
    gate: str = option(
        DEFAULT_GATE,
        "comma-separated conditions on the run's figures for going live; the first run of an "
        "empty output need not meet the default",
        placeholder="GATE",
    )
    trial: bool = option(
        False, "a trial: like a run with `limit`, it never goes live by itself and covers no photo"
    )
    channel: str = option(
        "",
        "channel, whose runs replace each other; default: named after shapes, format and size",
        placeholder="NAME",
    )
    prune: bool = option(
        False,
        "take photos that are gone from the input out of the current table; try it with `dry_run`",
    )
    prune_most: float = option(
        0.1, "prune nothing if a larger share is gone", placeholder="SHARE", least=0, most=1
    )
    preview: int = option(
        256,
        "long side of a small picture of each whole photo, for people who review the run; 0 for "
        "none",
        "px",
        least=0,
        most=1024,
    )
    max_error_rate: float = option(
        1.0,
        "exit with 3 if a larger share of photos failed",
        placeholder="SHARE",
        least=0,
        most=1,
    )
    task_images: int = option(64, "maximum photos in a task", placeholder="PHOTOS", least=1)
    task_bytes: int = option(128 * _MIB, "maximum input in a task", "bytes", least=1)
    local: bool = option(
        False,
        "run in processes on this machine, without Ray and on the CPU: for folders of up to a few "
        "thousand photos",
    )
    num_actors: int = option(
        0,
        "number of scoring workers, or of processes with `local`, at most one for each task; 0 "
        "chooses by the available cores and GPUs",
        placeholder="WORKERS",
        least=0,
    )
    gpus_per_actor: float | None = option(
        None,
        "share of a GPU for each scoring worker, by default one worker for every three CPU cores "
        "per GPU, if it has 1.4 GB of memory for each; 0 scores on the CPU",
        placeholder="SHARE",
        least=0,
    )
    read_threads: int = option(
        8, "photos of a task that are read in parallel", placeholder="PHOTOS", least=1
    )
    runtime: Literal["auto", "torch", "onnxruntime"] = option(
        "auto",
        "runtime of the detector and the backbone on a CPU: `auto` is onnxruntime if it is "
        "installed, which takes half of torch's time; scores agree within 1e-5",
    )
    compile: Literal["auto", "on", "off"] = option(
        "auto",
        "compile torch's networks ahead of time, which takes 20 s to a minute, once on each "
        "machine: `auto` compiles for runs of 10,000 photos or more if there is a C++ compiler; "
        "on a GPU, CUDA graphs are recorded instead, unless `off`",
    )
    image_timeout_s: float = option(
        60.0,
        "time limit for detecting and scoring one photo, or for encoding it; decoding has its own",
        "s",
        least=1,
        most=LONGEST_S,
    )
    drain_s: float = option(
        2.0,
        "after SIGTERM or Ctrl-C, time for tasks in flight to commit",
        "s",
        least=0,
        most=LONGEST_S,
    )
    log_format: Literal["text", "json"] = option("text", "format of the job's log")
    metrics_port: int = option(
        0,
        "serve Prometheus metrics on this port while the job runs; 0 serves none",
        placeholder="PORT",
        least=0,
        most=65_535,
    )
    metrics_host: str = option(
        "127.0.0.1",
        "address that serves them; use another one only behind a network policy",
        placeholder="HOST",
    )
    metrics_file: str = option(
        "", "write the same metrics to this file, for a node exporter", placeholder="FILE"
    )
    openlineage: str = option(
        "",
        "report the run's start and end to OpenLineage: append events to this file, or send them "
        "to this http(s) address, with the key in OPENLINEAGE_API_KEY if it is set",
        placeholder="FILE_OR_URL",
    )

    def __post_init__(self) -> None:
        check(self)
        share = self.gpus_per_actor or 0
        if share > 1 and share != int(share):
            raise SettingError("gpus_per_actor", "must be a fraction below 1 or a whole number")
        if 0 < share < LEAST_SHARE:
            raise SettingError("gpus_per_actor", f"must be 0 or at least {LEAST_SHARE}")
        parse_gate(self.gate)
        if self.channel:
            check_channel(self.channel)
