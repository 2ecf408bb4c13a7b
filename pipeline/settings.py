"""Every setting of a crop job, declared once: the command line, the run id and the manifest use it.

A field's metadata says what it means (`help`), in which unit, and whether it changes what comes
out (`changes_output`). Only those that do are part of a run's identity: the same photos with other
task sizes or another number of workers are the same run. Model and detector are not in that list
because the identity holds their hashes instead of their names.
"""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from pipeline.errors import UsageError
from pipeline.inputs.http import HttpPolicy
from pipeline.photo.decode import DecodeLimits
from pipeline.shapes import parse_shapes

_MIB = 1 << 20
FORMATS = ("webp", "jpeg", "png", "avif")


def _option(
    default: Any,
    help: str,
    unit: str = "",
    choices: tuple[str, ...] = (),
    changes_output: bool = True,
) -> Any:
    metadata = {"help": help, "unit": unit, "choices": choices, "changes_output": changes_output}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """What a crop job is asked to do. Raises UsageError where a value makes no sense."""

    input: str = _option(
        "", "folder, glob, s3:// prefix, or a .parquet/.csv list with a column `uri`",
        changes_output=False,
    )  # fmt: skip
    output: str = _option("", "folder or s3:// prefix that holds the runs", changes_output=False)
    ratios: str = _option(
        "1:1,4:3,16:9,9:16,3:4,circle", "shapes, by comma: any W:H, `circle`, `free`"
    )
    top_k: int = _option(1, "clearly different crops per shape, best first")
    thumbnail_size: int = _option(512, "longest side of an encoded crop; never enlarged", "px")
    format: str = _option("webp", "encoding of the crops", choices=FORMATS)
    quality: int = _option(80, "encoder quality, 1 to 100; png ignores it")
    background: str = _option("ffffff", "colour behind a circle in jpeg", "hex RRGGBB")
    weights: str = _option(
        "default",
        "file or URI of S2CNet weights, `starter` (in the package) or `untrained`; "
        "`default` is `starter` where the package has it, else `untrained`",
        changes_output=False,
    )
    preset: str = _option(
        "gaicv1", "network of `untrained`", choices=("gaicv1", "gaicv2"), changes_output=False
    )
    seed: int = _option(0, "draws the network of `untrained`", changes_output=False)
    detector: str = _option(
        "embedded", "`embedded`, `boxes` (column of the list), `torchvision:<model>[:weights]`, "
        "`vg[:weights]`", changes_output=False,
    )  # fmt: skip
    search: str = _option(
        "coarse",
        "which candidates are scored: those that promise most, or all of them",
        choices=("coarse", "exhaustive"),
    )
    rank_by: str = _option(
        "overlap",
        "a shape's crop: the one that people's crops are expected to overlap most, of scores and "
        "objects, heads kept in; or the one of the network's highest score",
        choices=("overlap", "score"),
    )
    precision: str = _option(
        "float32",
        "of the largest matrix products, and on a GPU of the backbone; the shorter ones pay on a "
        "GPU and on CPUs with AMX, and move scores by about 1 % of their spread",
        choices=("float32", "float16", "bfloat16"),
    )
    compile: str = _option(
        "auto", "compile the networks ahead of time, about a minute on each machine and once: "
        "`auto` does for runs of 10,000 images and more where there is a C++ compiler",
        choices=("auto", "on", "off"), changes_output=False,
    )  # fmt: skip
    candidates: bool = _option(False, "also write a table of the candidates scored")
    crop_files: bool = _option(False, "also write every crop as an object of its own")
    max_bytes: int = _option(64 * _MIB, "larger files are refused", "bytes")
    max_pixels: int = _option(50_000_000, "larger pictures are refused", "px")
    max_jpeg_pixels: int = _option(100_000_000, "the same for JPEG, decoded at a scale", "px")
    max_side: int = _option(16_384, "longer pictures are refused", "px")
    decode_timeout_s: float = _option(10.0, "one picture's decoding", "s")
    decode_memory_bytes: int = _option(2048 * _MIB, "one picture's decoding", "bytes")
    view_side: int = _option(
        1024, "pictures are scored and cut at about this long side, or at twice --thumbnail-size "
        "where that is more", "px",
    )  # fmt: skip

    limit: int | None = _option(None, "only the first so many images", changes_output=False)
    mode: str = _option(
        "incremental", "`full` does images again that a committed run covers",
        choices=("incremental", "full"), changes_output=False,
    )  # fmt: skip
    resume: str = _option(
        "", "go on with this uncommitted run and its own list, whatever the input holds now",
        changes_output=False,
    )  # fmt: skip
    retry: str = _option(
        "", "do the failed images of this committed run again, as a run", changes_output=False
    )
    retry_kind: str = _option(
        "transient", "which failures --retry means", choices=("transient", "permanent", "all"),
        changes_output=False,
    )  # fmt: skip
    http_hosts: str = _option(
        "", "hosts, by comma, that HTTP(S) pictures may come from; `.example.com` is every name "
        "below it, none is none", changes_output=False,
    )  # fmt: skip
    task_images: int = _option(64, "most images in a task", changes_output=False)
    task_bytes: int = _option(128 * _MIB, "most input in a task", "bytes", changes_output=False)
    max_error_rate: float = _option(
        1.0, "exit with 3 where a larger share of images failed, 0 to 1", changes_output=False
    )
    num_actors: int = _option(
        0, "scoring workers; 0 chooses from the cluster's resources", changes_output=False
    )
    gpus_per_actor: float = _option(
        1.0, "share of a GPU for each scoring worker; 0 scores on CPU", changes_output=False
    )
    read_threads: int = _option(8, "reads in flight in a task", changes_output=False)
    image_timeout_s: float = _option(
        60.0, "one picture's detection and scoring, or encoding; decoding has its own", "s",
        changes_output=False,
    )  # fmt: skip
    drain_s: float = _option(
        2.0, "after SIGTERM or Ctrl-C, time for tasks in flight to commit", "s",
        changes_output=False,
    )  # fmt: skip
    dry_run: bool = _option(False, "plan and say what would be done", changes_output=False)
    log_format: str = _option(
        "text", "how progress is told", choices=("text", "json"), changes_output=False
    )

    metrics_port: int = _option(
        0, "serve Prometheus figures on this port while the job runs; 0 does not",
        changes_output=False,
    )  # fmt: skip
    metrics_host: str = _option(
        "127.0.0.1", "address of that port; another one only behind a network policy",
        changes_output=False,
    )  # fmt: skip
    metrics_file: str = _option(
        "", "keep the same figures in this file, for a node exporter", changes_output=False
    )

    def __post_init__(self) -> None:
        parse_shapes(self.ratios)
        for item in fields(self):
            choices = item.metadata["choices"]
            if choices and getattr(self, item.name) not in choices:
                raise UsageError(f"{flag(item.name)}: choose one of {', '.join(choices)}")
        for name in _AT_LEAST_ONE:
            if getattr(self, name) < 1:
                raise UsageError(f"{flag(name)} must be at least 1, not {getattr(self, name)}")
        for name in ("num_actors", "gpus_per_actor", "drain_s", "seed"):
            if getattr(self, name) < 0:
                raise UsageError(f"{flag(name)} must not be negative")
        if not 0 <= self.metrics_port < 65_536:
            raise UsageError(
                f"--metrics-port is 1 to 65535, or 0 for none, not {self.metrics_port}"
            )
        if self.resume and self.retry:
            raise UsageError("--resume goes on with a run and --retry begins one: choose one")
        if self.limit is not None and self.limit < 1:
            raise UsageError("--limit must be at least 1")
        if self.quality > 100:
            raise UsageError(f"--quality is 1 to 100, not {self.quality}")
        if not 0 <= self.max_error_rate <= 1:
            raise UsageError("--max-error-rate is a share from 0 to 1, for instance 0.05")
        if self.gpus_per_actor > 1 and self.gpus_per_actor != int(self.gpus_per_actor):
            raise UsageError("--gpus-per-actor is a fraction below 1 or a whole number")
        _ = self.background_rgb

    @property
    def http(self) -> HttpPolicy | None:
        """Which hosts may be asked for pictures; None for none."""
        hosts = {host.strip().lower() for host in self.http_hosts.split(",")} - {""}
        return HttpPolicy(frozenset(hosts)) if hosts else None

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        try:
            red, green, blue = bytes.fromhex(self.background.removeprefix("#"))
        except ValueError:
            raise UsageError("--background is six hex digits, for instance ffffff") from None
        return red, green, blue

    @property
    def decoded_side(self) -> int:
        """Long side of the view that is decoded, pixels.

        The smallest crops that are proposed have about half of the photo's sides, so in a view of
        twice the thumbnail's side none of them has to be enlarged.
        """
        return max(self.view_side, 2 * self.thumbnail_size)

    @property
    def decode_limits(self) -> DecodeLimits:
        return DecodeLimits(
            max_bytes=self.max_bytes,
            max_pixels=self.max_pixels,
            max_jpeg_pixels=self.max_jpeg_pixels,
            max_side=self.max_side,
            timeout_s=self.decode_timeout_s,
            memory_bytes=self.decode_memory_bytes,
        )

    def identity(self) -> dict[str, Any]:
        """The settings that change what comes out, for the run id."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.metadata["changes_output"]}

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


_AT_LEAST_ONE = (
    "top_k", "thumbnail_size", "quality", "max_bytes", "max_pixels", "max_jpeg_pixels", "max_side",
    "decode_timeout_s", "decode_memory_bytes", "view_side", "task_images", "task_bytes",
    "read_threads", "image_timeout_s",
)  # fmt: skip

Verdict = Literal["done", "over_error_rate"]


def flag(name: str) -> str:
    """The command-line spelling of a setting."""
    return "--" + name.replace("_", "-")
