"""OpenLineage events: their form, their contents, and that they never stop a run."""

import hashlib
import io
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pipeline.cli.local_services import free_ports
from pipeline.errors import LedgerError, SettingError, UsageError
from pipeline.ledger.ledger import Ledger
from pipeline.report.lineage import STOPPED, dataset_name, lineage, run_uuid
from pipeline.report.progress import Log
from pipeline.storage.store import open_store
from tests.support.serving import serving
from tests.support.tasks import make_inputs, open_ledger, run_all

SCHEMA = json.loads(Path(__file__).with_name("openlineage.schema.json").read_text())
SOURCE = "s3://ugc/2026/11/21/"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return open_ledger(open_store(str(tmp_path / "out")), make_inputs(5))


def log() -> Log:
    return Log(stream=io.StringIO())


def checked(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    validator = jsonschema.Draft202012Validator(
        SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )
    for event in events:
        validator.validate(event)
    return events


def sent_events(path: Path) -> list[dict[str, Any]]:
    return checked([json.loads(line) for line in path.read_text().splitlines()])


def test_a_run_that_is_committed_tells_its_start_and_its_tables(
    ledger: Ledger, tmp_path: Path
) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text("")
    with lineage(str(events), SOURCE, ledger, log()):
        manifest = run_all(ledger)
    start, end = sent_events(events)
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["eventTime"] < end["eventTime"]
    assert start["run"]["runId"] == end["run"]["runId"] == run_uuid(ledger.run_id)
    assert start["job"]["namespace"] == "s2cnet-thumbnails"
    assert start["job"]["name"] == f"crop {tmp_path}/out"
    (source,) = end["inputs"]
    assert (source["namespace"], source["name"]) == ("s3://ugc", "2026/11/21")
    assert source["inputFacets"]["inputStatistics"]["rowCount"] == 5
    images, crops = end["outputs"]
    assert (images["namespace"], images["name"]) == ("file", f"{tmp_path}/out/_data/images")
    statistics = crops["outputFacets"]["outputStatistics"]
    written = manifest.tables["crops"]
    assert (statistics["rowCount"], statistics["size"]) == (5, written.bytes)
    assert "outputStatistics" not in start["outputs"][1].get("outputFacets", {})


@pytest.mark.parametrize(
    ("problem", "kind", "message"),
    [
        (LedgerError("2 of 4 tasks are not done"), "FAIL", "2 of 4 tasks are not done"),
        (KeyboardInterrupt(), "ABORT", STOPPED),
        (ZeroDivisionError(), "ABORT", STOPPED),
    ],
)
def test_a_run_that_ends_early_says_why(
    ledger: Ledger, tmp_path: Path, problem: BaseException, kind: str, message: str
) -> None:
    events = tmp_path / "events.jsonl"
    with pytest.raises(type(problem)), lineage(str(events), SOURCE, ledger, log()):
        raise problem
    start, end = sent_events(events)
    assert (start["eventType"], end["eventType"]) == ("START", kind)
    assert end["run"]["facets"]["errorMessage"]["message"] == message


def test_the_uuid_of_a_run_is_version_5_of_its_name() -> None:
    """RFC 9562, 5.5: SHA-1 of the namespace URL and the name, with version and variant set."""
    namespace = bytes.fromhex("6ba7b8119dad11d180b400c04fd430c8")
    digest = bytearray(hashlib.sha1(namespace + b"urn:s2cnet:run:ab12").digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    assert run_uuid("ab12").replace("-", "") == digest.hex()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("s3://thumbs/", ("s3://thumbs", "/")),
        ("s3://thumbs/a/b/", ("s3://thumbs", "a/b")),
        ("gs://bucket/list.parquet", ("gs://bucket", "list.parquet")),
        ("/data/photos", ("file", "/data/photos")),
        ("/data/crops/../photos", ("file", "/data/photos")),
        ("file:///data/p%20q", ("file", "/data/p q")),
    ],
)
def test_datasets_are_named_as_the_specification_says(address: str, name: tuple[str, str]) -> None:
    assert dataset_name(address) == name


Received = list[tuple[str, dict[str, str], dict[str, Any]]]


@pytest.fixture
def service() -> Iterator[tuple[str, Received]]:
    """A service that takes events, and what it got: path, headers, body."""
    received: Received = []

    class Takes(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Takes)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}", received


def test_a_service_gets_the_events_with_its_key_and_no_secret_in_them(
    ledger: Ledger, service: tuple[str, Received], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "let-me-in")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-told")
    address, received = service
    with lineage(address, SOURCE, ledger, log()):
        run_all(ledger)
    assert [path for path, _, _ in received] == ["/api/v1/lineage"] * 2
    assert [headers["Authorization"] for _, headers, _ in received] == ["Bearer let-me-in"] * 2
    events = checked([body for _, _, body in received])
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"]
    assert not {"let-me-in", "never-told"} & set(json.dumps(events).split('"'))


@pytest.mark.parametrize("key", ["sk-let-me-in\n", " sk-let-me-in ", "\r\nsk-let-me-in"])
def test_a_key_from_a_file_counts_without_its_line_break(
    ledger: Ledger, service: tuple[str, Received], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", key)
    address, received = service
    with lineage(address, SOURCE, ledger, log()):
        pass
    assert [headers["Authorization"] for _, headers, _ in received] == ["Bearer sk-let-me-in"] * 2


@pytest.mark.parametrize("key", ["sk-secret\nsk-other", "ключ-secret"])
def test_a_key_that_no_header_can_hold_is_not_told_and_stops_no_run(
    ledger: Ledger, service: tuple[str, Received], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", key)
    out = io.StringIO()
    with lineage(service[0], SOURCE, ledger, Log(stream=out)):
        run_all(ledger)
    assert ledger.is_committed
    assert out.getvalue().count("was not told of") == 2
    for word in key.split():
        assert word not in out.getvalue()


def test_a_path_in_the_address_is_where_events_go(
    ledger: Ledger, service: tuple[str, Received], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENLINEAGE_API_KEY", raising=False)
    address, received = service
    with lineage(f"{address}/team/events", SOURCE, ledger, log()):
        pass
    path, headers, _ = received[0]
    assert path == "/team/events"
    assert "Authorization" not in headers


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_event_is_told_once_more_to_a_service_in_trouble(ledger: Ledger, status: int) -> None:
    answers, out = [status, 201, 201], io.StringIO()

    class Troubled(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(answers.pop(0))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Troubled)
    with (
        serving(server),
        lineage(f"http://127.0.0.1:{server.server_port}", SOURCE, ledger, Log(stream=out)),
    ):
        pass
    assert answers == []
    assert out.getvalue() == ""


def test_a_service_that_is_not_there_costs_a_warning_and_no_run(ledger: Ledger) -> None:
    out = io.StringIO()
    (nobody,) = free_ports(1)
    with lineage(f"http://127.0.0.1:{nobody}", SOURCE, ledger, Log(stream=out)):
        run_all(ledger)
    assert ledger.is_committed
    lines = out.getvalue().splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "OpenLineage was not told of START",
        "OpenLineage was not told of COMPLETE",
    ]


def test_a_file_that_cannot_be_written_costs_a_warning_too(ledger: Ledger, tmp_path: Path) -> None:
    out = io.StringIO()
    with lineage(str(tmp_path), SOURCE, ledger, Log(stream=out)):
        pass
    assert "was not told of START" in out.getvalue()


def test_addresses_of_another_kind_and_credentials_are_refused(ledger: Ledger) -> None:
    with (
        pytest.raises(SettingError, match="neither a file nor"),
        lineage("s3://bucket/events", SOURCE, ledger, log()),
    ):
        pass
    with (
        pytest.raises(UsageError, match="user:password"),
        lineage("https://me:secret@lineage.example.com", SOURCE, ledger, log()),
    ):
        pass


def test_nobody_is_told_where_nobody_asked(ledger: Ledger, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with lineage("", SOURCE, ledger, log()):
        pass
    assert sorted(tmp_path.rglob("*")) == before
