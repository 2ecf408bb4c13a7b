"""Report the start and end of a run to a lineage service, as OpenLineage events.

The events follow https://openlineage.io/spec/2-0-2/OpenLineage.json and are made and sent with the
OpenLineage project's own client. Its classes and transports are used, not `OpenLineageClient`
itself, which reads a configuration from the working directory and adds Git branches and environment
variables.

Names follow https://openlineage.io/docs/spec/naming: s3://bucket and a key, or `file` and a path.
No event contains a setting or a credential, and only a failure's message may name a photo. A
service that requires a key gets the one in OPENLINEAGE_API_KEY; no message repeats it.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipeline.code_version import RELEASE
from pipeline.errors import LedgerError, SettingError, UsageError, naming, without_secrets
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.records import TableTotals
from pipeline.report.progress import Log
from pipeline.storage.addresses import absolute_path, local_path, refuse_credentials, scheme_of

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.generated.base import OutputDatasetFacet
    from openlineage.client.transport import Transport

PRODUCER = f"urn:s2cnet-thumbnails:{RELEASE}"
NAMESPACE = "s2cnet-thumbnails"  # of the jobs
ENDPOINT = "api/v1/lineage"  # where a service accepts events, unless the address has a path
TABLES = ("images", "crops")
TIMEOUT_S, ATTEMPTS = 5.0, 2
LONGEST_MESSAGE = 500  # characters
STOPPED = "the job was stopped, or met a bug; its log says which"


def run_uuid(run_id: str) -> str:
    """Return the UUID (version 5) that OpenLineage requires: always the same for one run id."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:s2cnet:run:{run_id}"))


def dataset_name(address: str) -> tuple[str, str]:
    """Return the namespace and the name of the data set at an address."""
    scheme = scheme_of(address)
    if scheme == "file":
        return "file", str(absolute_path(local_path(address)))
    bucket, _, key = address[len(scheme) + 3 :].partition("/")
    return f"{scheme}://{bucket}", key.strip("/") or "/"


@contextmanager
def lineage(where: str, source: str, ledger: Ledger, log: Log) -> Iterator[None]:
    """Send START before the block and COMPLETE, FAIL or ABORT after it.

    where:  a file, to which lines are added, or the http(s) address of a service; "" sends none.
    source: address of the input.

    FAIL means that the run could not continue, ABORT that it was stopped from outside. A failure to
    send is only logged and does not stop the run. Raises SettingError as `check_lineage` does.
    """
    if not where:
        yield
        return
    sender = _EventSender(transport(where), source, ledger, log)
    sender.send("START")
    kind, problem = "ABORT", STOPPED
    try:
        yield
        kind, problem = "COMPLETE", ""
    except (LedgerError, UsageError) as error:
        kind, problem = "FAIL", str(error)
        raise
    finally:
        sender.send(kind, problem)


def check_lineage(where: str) -> None:
    """Raise SettingError, before the work, if `lineage` can send nothing there.

    That is an address of another kind, or one with a credential. No request is made.
    """
    if where:
        with naming("openlineage"):
            transport(where)


def transport(where: str) -> "Transport":
    """Return the transport to a file or to a service. Raises UsageError."""
    from openlineage.client.transport.file import FileConfig, FileTransport
    from openlineage.client.transport.http import (
        ApiKeyTokenProvider,
        HttpConfig,
        HttpTransport,
        TokenProvider,
    )

    refuse_credentials(where)
    scheme = scheme_of(where)
    if scheme == "file":
        return FileTransport(FileConfig(log_file_path=local_path(where), append=True))
    if scheme not in ("http", "https"):
        raise SettingError("openlineage", f"{where!r} is neither a file nor an http(s) address")
    key = _api_key()
    retry: dict[str, Any] = {"total": ATTEMPTS, "backoff_factor": 0.3, "allowed_methods": ["POST"]}
    try:
        parts = urlsplit(where)
        return HttpTransport(
            HttpConfig(
                url=f"{parts.scheme}://{parts.netloc}",
                endpoint=parts.path.strip("/") or ENDPOINT,
                timeout=TIMEOUT_S,
                auth=ApiKeyTokenProvider({"api_key": key}) if key else TokenProvider({}),
                retry={**retry, "status_forcelist": [500, 502, 503, 504]},
            )
        )
    except ValueError as error:  # no host, or an IPv6 address that is none
        raise SettingError("openlineage", f"{where!r} is no http(s) address: {error}") from error


def _api_key() -> str:
    """Return the service's key, or ""; a key from a file often ends in a line break."""
    return os.environ.get("OPENLINEAGE_API_KEY", "").strip()


@dataclass(frozen=True)
class _EventSender:
    """Creates and sends the events of one run."""

    transport: "Transport"
    source: str
    ledger: Ledger
    log: Log

    def send(self, kind: str, problem: str = "") -> None:
        """Send one event; a failure is only logged."""
        try:
            self.transport.emit(self.event(kind, problem))
        # OSError covers requests and files; a ValueError comes from a bad key or address.
        except (OSError, RuntimeError, ValueError) as error:
            problem = without_secrets(f"{type(error).__name__}: {error}", [_api_key()])
            self.log.say("lineage", f"WARNING: OpenLineage was not told of {kind}: {problem}")

    def event(self, kind: str, problem: str) -> "RunEvent":
        from openlineage.client.event_v2 import InputDataset, Job, Run, RunEvent, RunState
        from openlineage.client.facet_v2 import (
            error_message_run,
            input_statistics_input_dataset,
            job_type_job,
        )

        photos = input_statistics_input_dataset.InputStatisticsInputDatasetFacet(
            rowCount=self.ledger.rows, producer=PRODUCER
        )
        job_type = job_type_job.JobTypeJobFacet(
            processingType="BATCH", integration="S2CNET", jobType="JOB", producer=PRODUCER
        )
        facets: dict[str, Any] = {}
        if problem:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=problem[:LONGEST_MESSAGE], programmingLanguage="PYTHON", producer=PRODUCER
            )
        return RunEvent(
            eventType=RunState[kind],
            eventTime=datetime.now(UTC).isoformat(),
            run=Run(run_uuid(self.ledger.run_id), facets),
            job=Job(NAMESPACE, f"crop {self.ledger.store.uri}", {"jobType": job_type}),
            inputs=[
                InputDataset(*dataset_name(self.source), inputFacets={"inputStatistics": photos})
            ],
            outputs=self.outputs(kind),
            producer=PRODUCER,
        )

    def outputs(self, kind: str) -> list[Any]:
        """Return the output tables; for a committed run, with their rows, bytes and files."""
        from openlineage.client.event_v2 import OutputDataset

        manifest = self.ledger.manifest if kind == "COMPLETE" else None
        namespace, folder = dataset_name(self.ledger.store.uri)
        made = {} if manifest is None else manifest.tables
        return [
            OutputDataset(
                namespace,
                f"{folder}/_data/{table}".replace("//", "/"),
                outputFacets={"outputStatistics": _statistics(made[table])} if made else {},
            )
            for table in TABLES
        ]


def _statistics(table: TableTotals) -> "OutputDatasetFacet":
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    return statistics.OutputStatisticsOutputDatasetFacet(
        rowCount=table.rows, size=table.bytes, fileCount=table.files, producer=PRODUCER
    )
