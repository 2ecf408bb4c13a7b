"""Everything that the runbook, the scale page and infra's README tell a person to type exists."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline import errors
from pipeline.cli import crop, runs
from pipeline.settings import Settings
from tests.infra.manifests import INFRA, ROOT, documents, kubernetes, ray_job

PAGES = [ROOT / "docs/RUNBOOK.md", ROOT / "docs/SCALE.md", INFRA / "README.md"]
RUNBOOK = PAGES[0].read_text()
TEXT = {path.name: path.read_text() for path in PAGES}
COMMAND = re.compile(r"python (?:/app/)?jobs/(\w+)\.py ((?:[^`\n|#\\]|\\\n)*)")


def job_commands() -> list[tuple[str, str, list[str]]]:
    """(page, job, arguments) of every `python jobs/…` in the pages."""
    return [
        (page, job, shlex.split(arguments.replace("\\\n", " ").replace("$OUT", "s3://thumbs/")))
        for page, text in TEXT.items()
        for job, arguments in COMMAND.findall(text)
    ]


@pytest.mark.parametrize(("page", "job", "arguments"), job_commands())
def test_every_command_line_is_accepted(page: str, job: str, arguments: list[str]) -> None:
    parsers = {"crop_bucket": crop.parser, "runs": runs.parser}
    chosen = parsers[job]().parse_args(arguments)  # exits on an unknown option
    if job == "crop_bucket":
        Settings.of(**vars(chosen))


def test_there_are_commands_for_every_way_to_look_after_runs() -> None:
    used = {arguments[0] for _, job, arguments in job_commands() if job == "runs"}
    named = {"list", "show", "verify", "diff", "retry", "gc", "gallery", "history", "rollback"}
    assert named | {"promote"} <= used


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[a-z][a-z-]+)", RUNBOOK))))
def test_every_option_named_in_passing_exists(option: str) -> None:
    known = {o for action in crop.parser()._actions for o in action.option_strings}
    clean = runs.parser()._subparsers
    assert clean is not None
    for action in clean._group_actions:
        for command in (action.choices or {}).values():  # type: ignore[union-attr]
            known |= {o for a in command._actions for o in a.option_strings}
    assert option in known


def test_names_of_kubernetes_objects_are_those_of_the_manifests() -> None:
    text = RUNBOOK + TEXT["README.md"]
    names = {d["metadata"]["name"] for d in kubernetes()} | {
        "ray-auth",
        ray_job()["metadata"]["name"],
    }
    used = re.findall(r"(?:cronjob[/ ]|rayjob |secret (?:generic )?)(crop-[\w-]+|ray-auth)", text)
    assert used
    assert set(used) <= names
    assert set(re.findall(r"-n (\w+)\b", text)) == {"thumbnails"}
    for key, value in re.findall(r"-l ([\w./-]+)=([\w-]+)", text):
        assert key in {"app.kubernetes.io/component", "ray.io/node-type"}
        assert value in {"nightly", "submitter", "head"}


def test_links_lead_somewhere() -> None:
    for path in PAGES:
        headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
        anchors = {re.sub(r"[^a-z0-9 -]", "", h.lower()).replace(" ", "-") for h in headings}
        for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
            file, _, anchor = target.partition("#")
            assert not file or (path.parent / file).exists(), target
            assert file or anchor in anchors, target


def test_files_that_the_pages_name_exist() -> None:
    for page, text in TEXT.items():
        for name in re.findall(r"`((?:infra|tests|pipeline|jobs|docs)/[\w./-]+)`", text):
            assert (ROOT / name).exists(), f"{page} names {name}"


def test_statuses_of_the_runbook_are_those_of_the_errors() -> None:
    (table,) = re.findall(r"\| status \| means \| then \|\n((?:\|.*\n)+)", RUNBOOK)
    first = "".join(row.split("|")[1] for row in table.splitlines()[1:])
    statuses = set(re.findall(r"`(\w+)`", first))
    files = (path for path in (ROOT / "pipeline").rglob("*.py") if "lab" not in path.parts)
    sources = "".join(path.read_text() for path in files)
    stages = {"read", "decode"}
    assert statuses - stages
    for status in statuses - stages:
        assert f'"{status}"' in sources or status in (errors.__doc__ or ""), status
    transient = {s for c in vars(errors).values() if isinstance(c, type)
                 for s in getattr(c, "transient_statuses", ())}  # fmt: skip
    assert transient <= statuses, "every passing failure is in the table"
    raised = re.findall(r"(?:Read|Decode|Detect|Score|Encode)Error\(\s*\"(\w+)\"", sources)
    assert len(set(raised)) > 20
    assert set(raised) <= statuses, "every failure that is named where it is raised"


def test_messages_of_the_runbook_are_those_of_the_code() -> None:
    files = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "jobs").glob("*.py")]
    text = "".join(path.read_text() for path in files)
    sources = re.sub(r'"\s*\n\s*f?"', "", text)  # a message may go over lines
    for message in (
        "overwrote an object that it was asked to create only if absent",
        "is on record but missing or cut short",
        "was given up (runs.py gc)",
        "there is no run ",
        "there is no folder ",
        "cannot be used: ",
        " covers nothing: ",
        "a worker could not continue",
        "UNTRAINED",
        "tasks are not done",
    ):
        assert message in RUNBOOK
        assert message in sources, message


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl changes the Job")
def test_a_day_by_hand_reaches_the_container() -> None:
    (nightly,) = documents("kubernetes/nightly.yaml")
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "crop-by-hand"},
           "spec": nightly["spec"]["jobTemplate"]["spec"]}  # fmt: skip
    (command,) = set(re.findall(r"\| (kubectl set env [^|]+?) \|", RUNBOOK))
    done = subprocess.run(
        shlex.split(command), input=yaml.safe_dump(job), capture_output=True, text=True, check=True
    )
    (container,) = yaml.safe_load(done.stdout)["spec"]["template"]["spec"]["containers"]
    assert {"name": "DAY", "value": "2026/11/21"} in container["env"]
    assert Path(container["command"][1]).name == "submit_nightly.py"
