"""The command that manages runs: every subcommand, as text and as JSON."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.runs import main
from pipeline.ledger.manifest import data_files
from pipeline.ledger.promotion.promotion import Request, promote
from pipeline.ledger.reader import open_run
from pipeline.settings import Settings
from pipeline.storage.store import open_store
from tests.support.crop_jobs import ROOT, finish, start, tree, write_scenes
from tests.support.row_runs import commit_rows, crop_row, image_row
from tests.support.tasks import done, make_inputs, open_ledger, run_all

__all__ = ["tree"]  # a fixture


def records(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_list_and_show(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(str(tmp_path))
    committed = open_ledger(store, make_inputs(4))
    run_all(committed, failed={0: "transient"})
    begun = open_ledger(store, make_inputs(8))
    begun.commit_task(0, done(begun.task_inputs(0)))
    assert main(["list", str(tmp_path), "--json"]) == 0
    lines = {line["run_id"]: line for line in records(capsys.readouterr().out)}
    assert lines[committed.run_id]["state"] == "committed"
    assert lines[committed.run_id]["unsettled"] == 2  # the first of either task
    assert lines[begun.run_id]["state"] == "open"
    assert (lines[begun.run_id]["tasks_done"], lines[begun.run_id]["tasks"]) == (1, 3)
    assert main(["list", str(tmp_path)]) == 0
    words = capsys.readouterr().out
    assert f"{begun.run_id}  open, 1 of 3 tasks done" in words
    assert words.startswith("run   ")
    assert "(1:1)" in words, "what tells runs apart"
    assert main(["show", str(tmp_path), committed.run_id]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["settings"] == {"ratios": "1:1", "top_k": 1}
    assert shown["tables"]["images"]["rows"] == 4


@pytest.mark.parametrize(
    ("boxes_only", "ending"), [(True, "(1:1 boxes alone)"), (False, "(1:1 512 webp)")]
)
def test_a_run_is_listed_with_the_pictures_that_it_made(
    boxes_only: bool, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"ratios": "1:1", "thumbnail_size": 512, "format": "webp", "boxes_only": boxes_only}
    run_all(open_ledger(open_store(str(tmp_path)), make_inputs(1), settings=settings))
    assert main(["list", str(tmp_path)]) == 0
    assert capsys.readouterr().out.rstrip().endswith(ending)


@pytest.mark.slow
def test_render_on_ray_makes_a_candidate(tree: Path, tmp_path: Path) -> None:
    photos, output = write_scenes(tmp_path / "in", 3), str(tmp_path / "out")
    given = ["--input", f"{photos}/*.jpg", "--output", output, "--local"]
    code, log = finish(start(tree, None, *given))
    assert code == 0, log
    old = open_run(output).manifest
    command = [sys.executable, "jobs/runs.py", "render", output, old["run_id"]]
    size = ["--thumbnail-size", "24", "--format", "jpeg", "--json"]
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [*command, *size], cwd=tree, env=quiet, check=False, timeout=300, text=True,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert open_run(output).manifest["run_id"] == old["run_id"]  # that is live
    (new,) = {*open_store(output).folders("runs/")} - {old["run_id"], "_probe"}
    crops = open_run(output, new).crops().to_pylist()
    assert {(crop["format"], max(crop["width"], crop["height"])) for crop in crops} == {
        ("jpeg", 24)
    }
    was = open_run(output).crops(["uri", "ratio", "x0", "y0", "x1", "y1"])
    assert open_run(output, new).crops(was.column_names).equals(was)
    costs = open_run(output, new).manifest["metrics"]["costs"]
    assert {"recall", "encode"} <= costs.keys()
    assert not {"detect", "score"} & costs.keys()


@pytest.mark.parametrize(
    ("command", "option", "value", "problem"),
    [
        ("export OUT --as csv", "--channel", "x", "'x' has nothing live in OUT; live are "),
        ("publish OUT", "--channel", "x", "'x' has nothing live in OUT; live are "),
        ("history OUT", "--channel", "x", "'x' does not exist; there are "),
        ("rollback OUT", "--channel", "x", "'x' does not exist; there are "),
        ("gallery OUT", "--into", "FILE", "is wrong: FILE is a file; "),
        ("diff OUT RUN RUN", "--html", "FILE", "is wrong: FILE is a file; "),
        ("publish OUT --as huggingface", "--into", "FILE", "is wrong: FILE is a file; "),
        ("publish OUT --as iceberg", "--catalog", "a/b", "'a/b' is no name: letters, digits, "),
        ("publish OUT --as iceberg", "--namespace", "x", "is of a catalogue: name one with --cata"),
        ("render OUT RUN", "--ratios", "1;1", "is wrong: '1;1' is not a shape: "),
    ],
)
def test_a_wrong_value_is_told_with_its_option(
    command: str, option: str, value: str, problem: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = commit_rows(
        tmp_path / "out", [image_row("a.jpg")], [crop_row("a.jpg", "1:1", (0, 0, 9, 9))]
    )
    (tmp_path / "file").write_text("")
    run_id = str(run.manifest["run_id"])
    places = {"OUT": f"{tmp_path}/out", "RUN": run_id, "FILE": f"{tmp_path}/file"}

    def placed(text: str) -> str:
        return re.sub("OUT|RUN|FILE", lambda found: places[found[0]], text)

    assert main([*placed(command).split(), option, placed(value)]) == 2
    assert f": {option} {placed(problem)}" in capsys.readouterr().err


def test_render_refuses_what_it_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(2))
    assert main(["render", str(tmp_path), ledger.run_id, "--format", "avif"]) == 1
    assert "is not committed: 0 of 1 task is done" in capsys.readouterr().err
    run_all(ledger)
    assert main(["render", str(tmp_path), ledger.run_id, "--ratios", "9:16"]) == 2
    assert "--ratios 9:16: no shape of run" in capsys.readouterr().err


def test_a_retry_without_failures_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(2))
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    job = {"input": str(tmp_path / "photos"), "log_format": "json"}
    manifest = ledger.finish({"job": job})
    assert main(["retry", str(tmp_path), manifest.run_id]) == 0
    message = f"nothing to do: run {manifest.run_id} has no transient"
    assert capsys.readouterr().out.startswith(message), "words, though the night's log was JSON"
    assert main(["retry", str(tmp_path), manifest.run_id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["message"].startswith(message)


@pytest.mark.parametrize("words", [[], ["--local"]])
def test_a_retry_may_do_without_ray(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(2))
    ledger.commit_task(0, done(ledger.task_inputs(0)))
    of_call = {"metrics_port": 9109, "metrics_file": "m.prom", "log_format": "json"}
    job = {"input": "in/", "local": False, "ratios": "3:1", **of_call}
    seen: list[Settings] = []
    monkeypatch.setattr("pipeline.cli.crop.crop", lambda settings: seen.append(settings) or 0)
    assert main(["retry", str(tmp_path), ledger.finish({"job": job}).run_id, *words]) == 0
    (asked,) = seen
    assert asked.running.local == bool(words)
    assert (asked.running.metrics_port, asked.running.metrics_file) == (0, "")
    assert (asked.running.log_format, asked.cropping.ratios) == ("text", "3:1")


def test_verify_finds_every_damage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(str(tmp_path))
    ledger = open_ledger(store, make_inputs(6))
    manifest = run_all(ledger)
    assert main(["verify", str(tmp_path), ledger.run_id, "--json"]) == 0
    (found,) = records(capsys.readouterr().out)
    assert found["rows"] == {"images": 6, "crops": 6}
    assert found["files"] == 4
    files = data_files(store, manifest)
    flipped = tmp_path / files[0].key
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)
    (tmp_path / files[3].key).unlink()
    assert main(["verify", str(tmp_path), ledger.run_id, "--json"]) == 1
    (found,) = records(capsys.readouterr().out)
    problems = "\n".join(found["problems"])  # type: ignore[arg-type]
    assert f"{files[0].key} was changed" in problems
    assert files[3].key in problems
    assert "3 photos have no row" in problems


def test_verify_sees_rows_that_were_lost_together_with_their_hash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose writer checks nothing: one task's images are another's."""
    monkeypatch.setattr("pipeline.ledger.ledger.check_tables", lambda tables, inputs: None)
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(6))
    for n in (0, 1):
        ledger.commit_task(n, done(ledger.task_inputs(0)))
    ledger.finish({})
    assert main(["verify", str(tmp_path), ledger.run_id]) == 1
    words = capsys.readouterr().out
    assert "3 photos have no row" in words
    assert "3 photos have too many rows" in words


def test_diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(str(tmp_path))
    old = open_ledger(store, make_inputs(4))
    run_all(old)
    new = open_ledger(store, make_inputs(4, start=1), settings={"ratios": "1:1", "top_k": 2})
    run_all(new, failed={0: "permanent"})
    assert main(["diff", str(tmp_path), old.run_id, new.run_id, "--json"]) == 0
    (found,) = records(capsys.readouterr().out)
    assert found["images"] == {
        "both": 3, "only_old": 1, "only_new": 1, "status_changed": 1, "content_changed": 0,
    }  # fmt: skip
    assert found["status_examples"] == [
        {"uri": "s3://ugc/000001.jpg", "old": "ok", "new": "corrupt"}
    ]
    assert found["crops"] == {
        "both": 2, "only_old": 2, "only_new": 0, "moved": 0, "of_changed_photos": 0,
    }  # fmt: skip
    assert "the setting top_k was 1 and is now 2" in found["settings"]


def test_gc_shows_first_and_removes_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = open_ledger(open_store(str(tmp_path)), make_inputs(2))
    for mark in ("a", "b"):
        ledger.commit_task(0, done(ledger.task_inputs(0), mark=mark))
    ledger.finish({})
    assert main(["gc", str(tmp_path)]) == 0
    assert "0 objects" in capsys.readouterr().out
    assert main(["gc", str(tmp_path), "--older-than", "0s"]) == 0
    shown = capsys.readouterr().out
    assert "2 objects" in shown
    assert "nothing removed, add --delete" in shown
    assert main(["gc", str(tmp_path), "--older-than", "0s", "--delete", "--json"]) == 0
    assert records(capsys.readouterr().out)[-1]["objects"] == 2
    assert main(["verify", str(tmp_path), ledger.run_id]) == 0
    assert len(list(open_store(str(tmp_path)).list("_data/"))) == 2
    (tmp_path / ".tmp-0").write_bytes(b"x")
    assert main(["gc", str(tmp_path), "--delete", "--older-than", "0s"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 object, 1 byte; 1 byte freed"


@pytest.mark.parametrize("words", [["list"], ["export", "--as", "csv"]])
def test_nobody_has_to_read_to_the_end(words: list[str], tmp_path: Path) -> None:
    """As in `runs.py list OUTPUT | head -1`."""
    store = open_store(str(tmp_path))
    promote(store, run_all(open_ledger(store, make_inputs(2))).run_id, Request())
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "jobs/runs.py", words[0], str(tmp_path), *words[1:]]
    done = subprocess.run(
        command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_gallery_is_of_the_latest_run_unless_one_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, pages = str(tmp_path), str(tmp_path / "pages")
    names = ("a", "b", "c")
    ids = []
    for photos in (2, 3):
        crops = [crop_row(name, "1:1", (0, 0, 30, 30)) for name in names[:photos]]
        run = commit_rows(output, [image_row(name) for name in names[:photos]], crops)
        ids.append(run.manifest["run_id"])
    for named, photos in (([], 3), ([ids[0]], 2), ([ids[1]], 3)):
        assert main(["gallery", output, *named, "--into", pages]) == 0
        assert json.loads(capsys.readouterr().out)["photos"] == photos


def test_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", str(tmp_path), "--older-than", "soon"]) == 2
    assert "write 90m, 12h or 7d" in capsys.readouterr().err
    assert main(["list", "s3://AKIAIOSFODNN7EXAMPLE:secret@bucket"]) == 2
    error = capsys.readouterr().err
    assert "AKIA" not in error
    assert "secret" not in error


FLAKY = """
from pathlib import Path

from pipeline.errors import ReadError


def _flaky(read):
    def read_or_not(uri, *arguments):
        if uri.endswith("00.jpg") and not Path(uri).with_suffix(".well").exists():
            raise ReadError("throttled", "slow down")
        return read(uri, *arguments)

    return read_or_not


read_image = _flaky(read_image)
"""


def test_retry_runs_the_failed_images_as_a_run_of_their_own(tree: Path, tmp_path: Path) -> None:
    flaky = tmp_path / "tree"
    shutil.copytree(tree, flaky)
    with (flaky / "pipeline" / "inputs" / "reading.py").open("a") as source:
        source.write(FLAKY)
    photos = write_scenes(tmp_path / "in", 3)
    output = str(tmp_path / "out")
    code, log = finish(start(flaky, None, "--input", f"{photos}/*.jpg", "--output", output))
    assert code == 0, log
    first = open_run(output).manifest
    assert first["metrics"]["statuses"] == {"throttled": 1, "ok": 2}
    (tmp_path / "in" / "00.well").touch()
    command = [sys.executable, "jobs/runs.py", "retry", output, first["run_id"], "--local"]
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=flaky, env=quiet, check=False, timeout=300)
    assert done.returncode == 0
    second = open_run(output).manifest
    assert (second["parent"], second["rows"]) == (first["run_id"], 1)
    assert second["settings"] == first["settings"]
    repaired = open_run(output, second["run_id"])
    assert repaired.images()["status"].to_pylist() == ["ok"] * 3
    assert main(["verify", output, second["run_id"]]) == 0
    again = subprocess.run(
        command, cwd=flaky, env=quiet, check=False, timeout=300, capture_output=True, text=True
    )
    assert again.returncode == 0
    text = f"failures; its latest retry is run {second['run_id']} (live)"
    assert again.stdout.splitlines()[-1].endswith(text)
    assert len(list((tmp_path / "out" / "runs").glob("*/spec.json"))) == 2, "no run was started"


COMMANDS_ON_A_RUN = (
    "show OUT RUN", "verify OUT RUN", "retry OUT RUN", "render OUT RUN --format avif",
    "promote OUT RUN", "gallery OUT RUN", "export OUT RUN --as csv", "diff OUT RUN OTHER",
    "diff OUT OTHER RUN", "publish OUT RUN", "publish OUT RUN --as iceberg",
)  # fmt: skip


def words(command: str, **given: str) -> list[str]:
    return [given.get(word, word) for word in command.split()]


@pytest.mark.parametrize("command", COMMANDS_ON_A_RUN)
def test_a_misspelt_run_is_wrong_usage_and_an_open_one_is_not(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, store = str(tmp_path), open_store(str(tmp_path))
    other = run_all(open_ledger(store, make_inputs(1))).run_id
    begun = open_ledger(store, make_inputs(8))
    begun.commit_task(0, done(begun.task_inputs(0)))
    misspelt = ("0" if begun.run_id[0] != "0" else "1") + begun.run_id[1:]
    assert main(words(command, OUT=output, RUN=misspelt, OTHER=other)) == 2
    assert capsys.readouterr().err.partition(": ")[2] == (
        f"there is no run {misspelt} in {output}, see `runs.py list {output}`; did you mean "
        f"{begun.run_id}?\n"
    )
    if not command.startswith("show"):
        assert main(words(command, OUT=output, RUN=begun.run_id, OTHER=other)) == 1
        errors = capsys.readouterr().err
        assert f"run {begun.run_id} is not committed: 1 of 3 tasks are done. Start its" in errors


@pytest.mark.parametrize(
    "command",
    [*COMMANDS_ON_A_RUN, "list OUT", "export OUT --as csv", "rollback OUT", "history OUT",
     "forget OUT a.jpg", "prune OUT .", "gc OUT", "publish OUT", "publish-files OUT"],
)  # fmt: skip
def test_an_output_that_is_not_there_is_wrong_usage(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "nofolder"
    assert main(words(command, OUT=str(output), RUN="a", OTHER="b")) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.partition(": ")[2]) == ("", f"there is no folder {output}\n")
    assert main(words(command, OUT=f"file://{output}", RUN="a", OTHER="b")) == 2
    assert not output.exists()


def test_a_misspelt_command_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["exporrt", str(tmp_path)])
    assert "; did you mean export?" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "required: COMMAND; --help lists them\n" in capsys.readouterr().err
