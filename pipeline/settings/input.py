"""The inputs of a run: photos, network, detector. The run id includes hashes of them."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pipeline.errors import SettingError
from pipeline.options import check, option

if TYPE_CHECKING:
    from pipeline.inputs.focus import FocusColumns
    from pipeline.inputs.http import HttpPolicy
    from pipeline.inputs.selection import Selection

# A host name, or the suffix (with its leading dot) of all names below one; or an IPv6 address.
_HOST = re.compile(r"\.?[\w-]+(\.[\w-]+)*|[0-9a-f]*:[0-9a-f:.]*")


@dataclass(frozen=True)
class InputSettings:
    """Photos, network and detector of a run.

    The run id includes hashes of them instead of these names.
    """

    input: str = option(
        "",
        "folder, glob, s3:// prefix, or a list: .parquet, .csv or .jsonl, or these with .gz",
        placeholder="ADDRESS",
        required=True,
    )
    limit: int | None = option(None, "only the first PHOTOS photos", placeholder="PHOTOS", least=1)
    overrides: str = option(
        "",
        "table of people's decisions about photos: Parquet, CSV or JSON Lines, also gzip; see "
        "docs/OVERRIDES.md",
        placeholder="ADDRESS",
    )
    focus_columns: str = option(
        "",
        "the list's two columns with each photo's focal point, 0 to 1, such as `x,y`",
        placeholder="X,Y",
    )
    uri_column: str = option("uri", "the list's column with addresses", placeholder="COLUMN")
    include: str = option(
        "", "only photos that match one of these comma-separated globs: *.jpg", placeholder="GLOBS"
    )
    exclude: str = option("", "skip photos that match one of these globs", placeholder="GLOBS")
    http_hosts: str = option(
        "",
        "comma-separated hosts that photos may be fetched from by HTTP(S); `.example.com` stands "
        "for all its subdomains",
        placeholder="HOSTS",
    )
    requester_pays: bool = option(
        False, "pay for reading the input if its S3 bucket is a requester-pays bucket"
    )
    weights: str = option(
        "default",
        "file or URI of S2CNet weights, `starter` (in the package) or `untrained`; `default` is "
        "`starter` if the package has it, else `untrained`",
        placeholder="WEIGHTS",
    )
    preset: Literal["gaicv1", "gaicv2"] = option("gaicv1", "configuration of an untrained network")
    seed: int = option(0, "random seed of an untrained network", least=0)
    detector: str = option(
        "embedded",
        "`embedded`, `boxes` (column of the list), `boxes:<folder>` (a text file for each photo), "
        "`torchvision:<model>[:weights]`, `vg[:weights]`",
        placeholder="DETECTOR",
    )
    mode: Literal["incremental", "full"] = option(
        "incremental", "`full` also crops photos that a committed run already covers"
    )
    resume: str = option(
        "",
        "continue this uncommitted run with its own list, whatever the input contains now",
        placeholder="RUN_ID",
    )
    retry: str = option(
        "",
        "retry the failed photos of this committed run, as a new run",
        placeholder="RUN_ID",
    )
    retry_kind: Literal["transient", "circumstances", "permanent", "all"] = option(
        "transient", "kind of failures that `retry` retries"
    )

    def __post_init__(self) -> None:
        check(self)
        if self.resume and self.retry:
            raise SettingError(
                "resume", f"{self.resume}: there is a run to retry too; choose one of the two"
            )
        if self.resume and self.overrides:
            raise SettingError("overrides", "cannot be changed for a run that is resumed")
        _ = self.focus, self._hosts

    @property
    def focus(self) -> "FocusColumns | None":
        """The names of the two focus columns; None if not set. Raises SettingError."""
        if not self.focus_columns:
            return None
        names = [name.strip() for name in self.focus_columns.split(",")]
        if len(names) != 2 or not all(names) or names[0] == names[1]:
            raise SettingError("focus_columns", f"are two names, not {self.focus_columns!r}")
        return names[0], names[1]

    @property
    def selection(self) -> "Selection":
        """`include` and `exclude`, parsed."""
        from pipeline.inputs.selection import Selection

        parts = (self.include, self.exclude)
        return Selection(
            *(tuple(g.strip() for g in text.split(",") if g.strip()) for text in parts)
        )

    @property
    def has_box_files(self) -> bool:
        """Whether a photo's boxes may be in a file that is named after it."""
        name, _, folder = self.detector.partition(":")
        return name == "boxes" and bool(folder)

    @property
    def http(self) -> "HttpPolicy | None":
        """The hosts that photos may be fetched from; None if there are none."""
        from pipeline.inputs.http import HttpPolicy  # ssl takes long to import: not for --help

        hosts = self._hosts
        return HttpPolicy(hosts) if hosts else None

    @property
    def _hosts(self) -> frozenset[str]:
        """`http_hosts`, parsed. Raises SettingError for text that cannot be a host."""
        hosts = frozenset(host.strip().lower() for host in self.http_hosts.split(",")) - {""}
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise SettingError(
                    "http_hosts",
                    f"has {host!r}, which is no host: write names alone, such as img.example.com, "
                    "or .example.com for all below it",
                )
        return hosts
