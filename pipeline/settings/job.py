"""What a run is made from and how it is carried out: nothing here is in a run's identity."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.errors import SettingError
from pipeline.gate import DEFAULT_GATE, check_channel, parse_gate
from pipeline.options import check, option

if TYPE_CHECKING:
    from pipeline.inputs.focus import FocusColumns
    from pipeline.inputs.http import HttpPolicy
    from pipeline.inputs.selection import Selection

_MIB = 1 << 20


@dataclass(frozen=True)
class InputSettings:
    """Photos, network and detector of a run.

    The run id holds hashes of them instead of these names.
    """

    input: str = option(
        "",
        "folder, glob, s3:// prefix, or a list: .parquet, .csv or .jsonl, or these with .gz",
        placeholder="ADDRESS",
        required=True,
    )
    limit: int | None = option(None, "only the first so many photos", placeholder="PHOTOS", least=1)
    overrides: str = option(
        "",
        "table of people's decisions about photos, .parquet or .csv; docs/OVERRIDES.md",
        placeholder="ADDRESS",
    )
    focus_columns: str = option(
        "",
        "two columns of the list with each photo's focal point, 0 to 1, by comma: `x,y`",
        placeholder="X,Y",
    )
    uri_column: str = option("uri", "the list's column of addresses", placeholder="COLUMN")
    include: str = option(
        "", "only photos that match one of these globs, by comma: *.jpg", placeholder="GLOBS"
    )
    exclude: str = option("", "no photos that match one of these globs", placeholder="GLOBS")
    http_hosts: str = option(
        "",
        "hosts that photos may be fetched from by HTTP(S), by comma; `.example.com` is every name "
        "below it",
        placeholder="HOSTS",
    )
    requester_pays: bool = option(
        False, "pay for reading the input where its bucket in S3 has its readers pay"
    )
    weights: str = option(
        "default",
        "file or URI of S2CNet weights, `starter` (in the package) or `untrained`; `default` is "
        "`starter` where the package has it, else `untrained`",
        placeholder="WEIGHTS",
    )
    preset: Literal["gaicv1", "gaicv2"] = option("gaicv1", "configuration of an untrained network")
    seed: int = option(0, "random seed of an untrained network", least=0)
    detector: str = option(
        "embedded",
        "`embedded`, `boxes` (column of the list), `boxes:<folder>` (a text file a photo), "
        "`torchvision:<model>[:weights]`, `vg[:weights]`",
        placeholder="DETECTOR",
    )
    mode: Literal["incremental", "full"] = option(
        "incremental", "`full` does photos again that a committed run covers"
    )
    resume: str = option(
        "",
        "go on with this uncommitted run and its own list, whatever the input holds now",
        placeholder="RUN_ID",
    )
    retry: str = option(
        "",
        "do the failed photos of this committed run again, as a new run",
        placeholder="RUN_ID",
    )
    retry_kind: Literal["transient", "circumstances", "permanent", "all"] = option(
        "transient", "which failures `retry` repeats"
    )

    def __post_init__(self) -> None:
        check(self)
        if self.resume and self.retry:
            raise SettingError(
                "resume", f"{self.resume}: there is a run to retry too; choose one of the two"
            )
        if self.resume and self.overrides:
            raise SettingError("overrides", "cannot be changed for a run that is resumed")
        _ = self.focus

    @property
    def focus(self) -> "FocusColumns | None":
        """The names of the two focus columns; None for none. Raises SettingError."""
        if not self.focus_columns:
            return None
        names = [name.strip() for name in self.focus_columns.split(",")]
        if len(names) != 2 or not all(names) or names[0] == names[1]:
            raise SettingError("focus_columns", f"are two names, not {self.focus_columns!r}")
        return names[0], names[1]

    @property
    def selection(self) -> "Selection":
        """`include` and `exclude`, read."""
        from pipeline.inputs.selection import Selection

        parts = (self.include, self.exclude)
        return Selection(
            *(tuple(g.strip() for g in text.split(",") if g.strip()) for text in parts)
        )

    @property
    def http(self) -> "HttpPolicy | None":
        """The hosts that may be asked for photos; None where there are none."""
        from pipeline.inputs.http import HttpPolicy  # ssl takes long to import: not for --help

        hosts = {host.strip().lower() for host in self.http_hosts.split(",")} - {""}
        return HttpPolicy(frozenset(hosts)) if hosts else None


@dataclass(frozen=True)
class RunningSettings:
    """Where a run goes and how its work is shared out; the crops stay the same."""

    output: str = option(
        "", "folder or s3:// prefix that holds the runs", placeholder="ADDRESS", required=True
    )
    dry_run: bool = option(False, "plan the run and say what would be done")
    promote: Literal["auto", "manual"] = option(
        "auto",
        "`auto` makes the run live at its commit if the gate holds; `manual` leaves that to "
        "runs.py promote",
    )
    gate: str = option(
        DEFAULT_GATE,
        "what the run's figures must be to go live, by comma; the first run of an empty output "
        "need not meet the default",
        placeholder="GATE",
    )
    trial: bool = option(
        False, "only try: the run never goes live by itself, like any with `limit`, covers no photo"
    )
    channel: str = option(
        "",
        "the runs that take each other's place; default: named after shapes, format and size",
        placeholder="NAME",
    )
    prune: bool = option(
        False,
        "take photos out of the current table that are gone from the input; try it with `dry_run`",
    )
    prune_most: float = option(
        0.1, "prune nothing where more are gone", placeholder="SHARE", least=0, most=1
    )
    preview: int = option(
        256,
        "long side of a small picture of each whole photo, for people who look at the run; 0 keeps "
        "none",
        "px",
        least=0,
        most=1024,
    )
    max_error_rate: float = option(
        1.0,
        "exit with 3 where a larger share of photos failed",
        placeholder="SHARE",
        least=0,
        most=1,
    )
    task_images: int = option(64, "most photos in a task", placeholder="PHOTOS", least=1)
    task_bytes: int = option(128 * _MIB, "most input in a task", "bytes", least=1)
    local: bool = option(
        False,
        "work in processes of this machine, without Ray: for a folder of up to some thousand "
        "photos; they score on the CPU",
    )
    num_actors: int = option(
        0,
        "scoring workers, with `local` processes; 0 chooses by the cores and GPUs that there are",
        placeholder="WORKERS",
        least=0,
    )
    gpus_per_actor: float | None = option(
        None,
        "share of a GPU for each scoring worker, by default one worker for every three cores of "
        "the GPU's; 0 scores on CPU",
        placeholder="SHARE",
        least=0,
    )
    read_threads: int = option(
        8, "photos of a task that are read at once", placeholder="PHOTOS", least=1
    )
    runtime: Literal["auto", "torch", "onnxruntime"] = option(
        "auto",
        "what runs the detector and the backbone on a CPU: `auto` is onnxruntime where it is "
        "installed, in half of torch's time; scores agree within 1e-5",
    )
    compile: Literal["auto", "on", "off"] = option(
        "auto",
        "compile the networks that torch runs ahead of time, a minute on each machine, once: "
        "`auto` does for runs of 10,000 photos and more where there is a C++ compiler; on a GPU "
        "CUDA graphs are recorded instead, unless `off`",
    )
    image_timeout_s: float = option(
        60.0,
        "one photo's detection and scoring, or encoding; decoding has its own limit",
        "s",
        least=1,
    )
    drain_s: float = option(
        2.0, "after SIGTERM or Ctrl-C, time for tasks in flight to commit", "s", least=0
    )
    log_format: Literal["text", "json"] = option("text", "how progress is told")
    metrics_port: int = option(
        0,
        "serve Prometheus figures on this port while the job runs; 0 does not",
        placeholder="PORT",
        least=0,
        most=65_535,
    )
    metrics_host: str = option(
        "127.0.0.1",
        "address of that port; another one only behind a network policy",
        placeholder="HOST",
    )
    metrics_file: str = option(
        "", "write the same figures into this file, for a node exporter", placeholder="FILE"
    )
    openlineage: str = option(
        "",
        "tell OpenLineage of the run's start and end: add lines to this file, or send them to this "
        "http(s) address, with the key in OPENLINEAGE_API_KEY if there is one",
        placeholder="FILE_OR_URL",
    )

    def __post_init__(self) -> None:
        check(self)
        share = self.gpus_per_actor or 0
        if share > 1 and share != int(share):
            raise SettingError("gpus_per_actor", "must be a fraction below 1 or a whole number")
        parse_gate(self.gate)
        if self.channel:
            check_channel(self.channel)
