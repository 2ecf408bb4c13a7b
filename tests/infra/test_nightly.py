"""The nightly submitter against an HTTP server that answers as the Kubernetes API does."""

import copy
import datetime
import itertools
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.infra.manifests import DAY, INFRA, submit_nightly
from tests.infra.manifests import ray_job as one_job
from tests.support.serving import serving

TOKEN = "the-token-of-the-pod"
FOLDER = "/apis/ray.io/v1/namespaces/thumbnails/rayjobs"
PATH = f"{FOLDER}/crop-2026-11-21"
DONE = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}
Cut = Callable[[bytes], bytes]


def whole(answer: bytes) -> bytes:
    return answer


def short(answer: bytes) -> bytes:
    """The connection ends before the length that the head promises."""
    return answer[:-5]


def half(answer: bytes) -> bytes:
    """The length fits, the JSON has no end: a proxy that passes on what it got."""
    head, body = answer.split(b"\r\n\r\n")
    line = head.splitlines()[0]
    return line + b"\r\nContent-Length: 5\r\n\r\n" + body[:5]


def half_a_chunk(answer: bytes) -> bytes:
    line = answer.splitlines()[0]
    return line + b'\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{"status": {'


def half_a_line(answer: bytes) -> bytes:
    return answer[:4]


def no_object(answer: bytes) -> bytes:
    return answer.splitlines()[0] + b"\r\nContent-Length: 4\r\n\r\nnull"


def half_a_letter(answer: bytes) -> bytes:
    return answer.splitlines()[0] + b'\r\nContent-Length: 2\r\n\r\n"\xc3'


CUTS = [short, half, half_a_chunk, half_a_line, half_a_letter, no_object]


class FakeApi:
    """RayJobs in a dict; `statuses` are given out one a GET, the last one for ever.

    Each answer is changed on the way by the next of `cuts`, as long as there are some.
    """

    def __init__(self, folder: Path) -> None:
        self.jobs: dict[str, Any] = {}
        self.statuses: list[Any] = [{}]
        self.asked: list[tuple[str, str]] = []
        self.cuts: Iterator[Cut] = iter(())
        (folder / "token").write_text(TOKEN + "\n")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(("GET", self.path))
                status = outer.statuses[0]
                if len(outer.statuses) > 1:
                    outer.statuses.pop(0)
                if isinstance(status, int):
                    return self.answer(status, {})
                if self.path not in outer.jobs:
                    return self.answer(404, {})
                return self.answer(200, {**outer.jobs[self.path], "status": status})

            def do_POST(self) -> None:
                outer.asked.append(("POST", self.path))
                job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                path = f"{self.path}/{job['metadata']['name']}"
                if path in outer.jobs:
                    return self.answer(409, {"reason": "AlreadyExists"})
                outer.jobs[path] = job
                return self.answer(201, job)

            def answer(self, code: int, body: dict[str, Any]) -> None:
                code = code if self.headers["Authorization"] == f"Bearer {TOKEN}" else 401
                data = json.dumps(body).encode()
                head = f"HTTP/1.1 {code} so\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(next(outer.cuts, whole)(head.encode() + data))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.client = submit_nightly.Api(f"http://127.0.0.1:{self.server.server_port}", folder)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[FakeApi]:
    made = FakeApi(tmp_path)
    with serving(made.server):
        yield made


def test_the_day_is_the_one_before_the_scheduled_time() -> None:
    # 2026-11-22 02:30 UTC is 1795314600 s, which is 29921910 minutes, since 1970.
    scheduled = datetime.datetime(2026, 11, 22, 2, 30, tzinfo=datetime.UTC).timestamp()
    assert scheduled / 60 == 29_921_910
    assert submit_nightly.day_to_run("crop-nightly-29921910") == DAY
    assert submit_nightly.day_to_run("crop-nightly-29921910", "2026/03/01") == datetime.date(
        2026, 3, 1
    )
    assert submit_nightly.day_to_run("by-hand", "2026/03/01") == datetime.date(2026, 3, 1)


@pytest.mark.parametrize(
    ("name", "chosen"),
    [("by-hand", ""), ("crop-29921910", "21.11.2026"), ("crop-by-hand-1795314600", "")],
)
def test_a_day_that_is_not_said_is_refused(name: str, chosen: str) -> None:
    with pytest.raises(ValueError, match=r"DAY|21\.11\.2026"):
        submit_nightly.day_to_run(name, chosen)


def test_the_template_has_no_other_variables_and_the_job_has_an_owner() -> None:
    job = one_job()
    assert "{" not in json.dumps(job["spec"]["entrypoint"])
    assert job["metadata"]["name"] == "crop-2026-11-21"
    (owner,) = job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Job", "a-b-c")
    assert "--input s3://ugc/2026/11/21/ " in job["spec"]["entrypoint"]


def test_creates_and_stays_until_the_run_is_committed(
    api: FakeApi, capsys: pytest.CaptureFixture[str]
) -> None:
    api.statuses = [
        {},
        {"jobDeploymentStatus": "Initializing"},
        {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"},
        {"jobDeploymentStatus": "Retrying", "jobStatus": "FAILED"},
        {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING"},
        DONE,
    ]
    path = submit_nightly.create(api.client, one_job())
    assert path == PATH
    assert submit_nightly.watch(api.client, path, poll_s=0.01) == 0
    assert api.asked == [("POST", FOLDER), *[("GET", PATH)] * 6]
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "Complete SUCCEEDED"
    assert "Retrying FAILED" in lines


def test_the_second_one_finds_the_first_ones_job(api: FakeApi) -> None:
    submit_nightly.create(api.client, one_job())
    theirs = copy.deepcopy(api.jobs)
    other = one_job()
    other["metadata"]["ownerReferences"][0]["uid"] = "another"
    assert submit_nightly.create(api.client, other) == PATH
    assert api.jobs == theirs


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ({"jobDeploymentStatus": "Failed", "jobStatus": "FAILED"}, 1),
        ({"jobDeploymentStatus": "Failed", "jobStatus": "RUNNING"}, 1),
        ({"jobDeploymentStatus": "ValidationFailed"}, 1),
        ({"jobDeploymentStatus": "Complete", "jobStatus": "STOPPED"}, 1),
        (DONE, 0),
    ],
)
def test_the_exit_code_is_the_runs_verdict(api: FakeApi, status: Any, code: int) -> None:
    submit_nightly.create(api.client, one_job())
    api.statuses = [status]
    assert submit_nightly.watch(api.client, PATH, poll_s=0.01) == code


def test_a_job_that_was_deleted_has_failed(api: FakeApi) -> None:
    assert submit_nightly.watch(api.client, PATH, poll_s=0.01) == 1


def test_an_api_server_that_stumbles_is_asked_again(api: FakeApi) -> None:
    submit_nightly.create(api.client, one_job())
    api.statuses = [500, 503, DONE]
    assert submit_nightly.watch(api.client, PATH, poll_s=0.01) == 0


def test_an_api_server_that_stays_away_means_start_again(api: FakeApi) -> None:
    submit_nightly.create(api.client, one_job())
    api.statuses = [503]
    assert submit_nightly.watch(api.client, PATH, poll_s=0.01, unreachable_limit_s=0.05) == 75


@pytest.mark.parametrize("cut", CUTS)
def test_a_watch_goes_on_after_an_answer_that_was_cut(api: FakeApi, cut: Cut) -> None:
    submit_nightly.create(api.client, one_job())
    api.cuts, api.statuses = iter([cut, cut]), [DONE]
    assert submit_nightly.watch(api.client, PATH, poll_s=0.01) == 0
    assert api.asked[1:] == [("GET", PATH)] * 3


@pytest.mark.parametrize("cut", CUTS)
def test_answers_that_are_all_cut_mean_start_again(api: FakeApi, cut: Cut) -> None:
    """1 would be taken for the run's verdict, and nobody would watch the RayJob any more."""
    submit_nightly.create(api.client, one_job())
    api.cuts, api.statuses = itertools.repeat(cut), [{}]
    assert submit_nightly.watch(api.client, PATH, poll_s=0.01, unreachable_limit_s=0.05) == 75


def start(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a pod whose API server is this one."""
    monkeypatch.setattr(submit_nightly, "Api", lambda _: api.client)
    environment = {"JOB_NAME": "crop-nightly-29921910", "JOB_UID": "1"}
    address = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    template = INFRA / "kubernetes/ray_job.yaml"
    return submit_nightly.main([str(template)], {**environment, **address})


@pytest.mark.parametrize("cut", CUTS)
def test_a_creation_whose_answer_was_cut_is_found_by_the_next_start(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, cut: Cut
) -> None:
    api.cuts, api.statuses = iter([cut]), [DONE]
    assert start(api, monkeypatch) == 75
    assert start(api, monkeypatch) == 0
    assert api.asked == [("POST", FOLDER), ("POST", FOLDER), ("GET", PATH)]


@pytest.mark.parametrize("reason", [half_a_chunk, half_a_letter])
def test_a_refusal_whose_reason_cannot_be_read_is_judged_by_its_code(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, reason: Cut
) -> None:
    (api.client.account / "token").write_text("another")
    api.cuts = iter([reason])
    assert start(api, monkeypatch) == 75  # 401: the token is being changed


def test_a_rayjob_that_has_no_status_yet_is_watched_on(api: FakeApi) -> None:
    submit_nightly.create(api.client, one_job())
    api.statuses = [None, DONE]
    assert submit_nightly.watch(api.client, PATH, poll_s=0.01) == 0


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ([], {}),
        (["template"], {}),
        (["template"], {"JOB_NAME": "crop-nightly-29921910"}),
        (["template"], {"JOB_NAME": "by-hand", "JOB_UID": "1"}),
    ],
)
def test_wrong_usage(arguments: list[str], environment: dict[str, str]) -> None:
    assert submit_nightly.main(arguments, environment) == 2


def test_an_unreachable_api_server_means_start_again(tmp_path: Path) -> None:
    template = INFRA / "kubernetes/ray_job.yaml"
    environment = {"JOB_NAME": "crop-nightly-29921910", "JOB_UID": "1"}
    address = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "1"}
    # The token's file is not there either, as in a pod whose volume is late.
    assert submit_nightly.main([str(template)], {**environment, **address}) == 75
