"""The commands that promote runs and take photos out: text, JSON, exit codes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.cli.runs import main
from pipeline.inputs.listing import list_all
from pipeline.ledger.channels.channel import channel_name
from pipeline.ledger.reader import open_run
from pipeline.settings import Settings
from pipeline.storage.store import open_store
from tests.support.named_crops import run_with_named_crops
from tests.support.tasks import SPEC, done, make_inputs, open_ledger, run_all

CHANNEL = channel_name(SPEC.settings)
MANUAL = {"promote": "manual", "trial": False}


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "out")


def printed_records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_promote_history_rollback(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(output)
    first = run_all(open_ledger(store, make_inputs(4)), {0: "permanent"}, **MANUAL).run_id
    gate = "error_rate<=0.01, mean_overlap_with_current>=0.9"
    assert main(["promote", output, first, "--gate", gate]) == 4
    words = capsys.readouterr().out
    assert "nothing is moved" in words
    assert "FAILS  error_rate<=0.01: 0.5" in words  # one of each task of three, and of one
    assert "holds  mean_overlap_with_current>=0.9: nothing else is live" in words
    assert list(store.list("channels/")) == []
    assert main(["promote", output, first, "--gate", "error_rate<=0.5", "--why", "seen"]) == 0
    assert f"run {first} is live in channel {CHANNEL}, version 1" in capsys.readouterr().out
    second = run_all(open_ledger(store, make_inputs(2, start=9)), **MANUAL).run_id
    assert main(["promote", output, second, "--json"]) == 0
    (line,) = printed_records(capsys)
    assert (line["decision"], line["version"]) == ("promoted", 2)
    assert line["figures"]["error_rate"] == 0.0
    assert main(["rollback", output, "--why", "wrong"]) == 0
    capsys.readouterr()
    assert main(["history", output, "--json"]) == 0
    lines = printed_records(capsys)
    assert [(one["action"], one["why"]) for one in lines] == [
        ("promote", "seen"), ("promote", ""), ("rollback", "wrong"),
    ]  # fmt: skip
    assert lines[0]["gate"] == "error_rate<=0.5"
    assert lines[2]["removed"] == [second]
    assert main(["history", output]) == 0
    words = capsys.readouterr().out
    assert f"rollback  -{second}" in words
    assert "why: wrong" in words
    assert main(["list", output]) == 0
    words = capsys.readouterr().out
    assert f"[live in {CHANNEL}]" in words
    assert f"[rolled back in {CHANNEL}]" in words


def test_named_crops_stay_as_they_were_and_that_is_said(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(output)
    line = f"`runs.py publish-files {output} --channel web` makes public/web/ follow"
    first = run_with_named_crops(store, make_inputs(2), "A")
    second = run_with_named_crops(store, make_inputs(2, "v2"), "B")
    assert main(["promote", output, first]) == 0
    assert line in capsys.readouterr().out, "nothing is published yet, and there are names"
    assert main(["publish-files", output]) == 0
    capsys.readouterr()
    assert main(["promote", output, second, "--json"]) == 0
    (record,) = printed_records(capsys)
    assert f"`{record['publish_files']}` makes public/web/ follow" == line
    assert main(["rollback", output]) == 0
    assert capsys.readouterr().out.splitlines()[-1].strip() == line
    assert main(["history", output]) == 0
    assert "publish-files" not in capsys.readouterr().out, "it may be done by now"
    assert main(["promote", output, first]) == 0
    assert "publish-files" not in capsys.readouterr().out, "nothing was moved"
    plain = run_all(open_ledger(store, make_inputs(3)), **MANUAL).run_id
    assert main(["promote", output, plain]) == 0
    assert "publish-files" not in capsys.readouterr().out, "a channel without names"


def test_a_new_channel_and_a_gate_that_is_not_judged_are_told(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store = open_store(output)
    run = run_all(open_ledger(store, make_inputs(2)), **MANUAL).run_id
    assert main(["promote", output, run]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "  new channel"
    assert main(["promote", output, run, "--channel", "nope.new"]) == 0
    assert f"\n  new channel; there are: {CHANNEL}\n" in capsys.readouterr().out
    assert main(["promote", output, run, "--gate", "error_rate>=0.9"]) == 0
    words = capsys.readouterr().out
    assert words == f"run {run} is live in channel {CHANNEL} already: no gate is judged\n"
    later = run_all(open_ledger(store, make_inputs(2, start=9)), **MANUAL).run_id
    assert main(["promote", output, later]) == 0
    assert "new channel" not in capsys.readouterr().out


def test_what_is_said_tells_which_run_readers_get(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both stay live when an older one is promoted again, and when that is taken back."""
    store = open_store(output)
    old, new = (
        run_all(open_ledger(store, make_inputs(2), code_version=version), **MANUAL).run_id
        for version in ("old", "new")
    )
    for run_id in (old, new):
        assert main(["promote", output, run_id, "--gate", "error_rate<=1"]) == 0

    def listed() -> dict[str, str]:
        capsys.readouterr()
        assert main(["list", output]) == 0
        return {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}

    first, second = f"[live in {CHANNEL} (in front of 2)]", f"[live in {CHANNEL} (2 of 2)]"
    assert (first in listed()[new], second in listed()[old]) == (True, True)
    assert main(["promote", output, old, "--gate", "error_rate<=1"]) == 0
    assert (first in listed()[old], second in listed()[new]) == (True, True)
    assert main(["rollback", output]) == 0
    assert f"in front: {new}" in capsys.readouterr().out
    assert (first in listed()[new], second in listed()[old]) == (True, True)
    assert main(["history", output]) == 0
    fronts = [line.split()[-1] for line in capsys.readouterr().out.splitlines()
              if "in front:" in line]  # fmt: skip
    assert fronts == [old, new, old, new]


def test_what_is_refused(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(output)
    tried = run_all(open_ledger(store, make_inputs(2)), promote="auto", trial=True).run_id
    assert main(["promote", output, tried]) == 2
    assert "is a trial; say --trial" in capsys.readouterr().err
    assert main(["promote", output, tried, "--gate", "heads<=1"]) == 2
    assert "--gate 'heads' is no figure of a run; known are error_rate" in capsys.readouterr().err
    assert main(["promote", output, "nonsense"]) == 2
    assert main(["rollback", output]) == 1
    assert "nothing was ever promoted" in capsys.readouterr().err
    assert main(["promote", output, tried, "--trial", "--gate", "head_cut_rate<=1"]) == 4
    assert "no crop of the run says heads_cut" in capsys.readouterr().out
    assert main(["promote", output, tried, "--trial"]) == 0
    other = {"settings": {"ratios": "16:9"}}
    wide = run_all(open_ledger(store, make_inputs(2), **other), **MANUAL).run_id
    assert main(["promote", output, wide]) == 0
    assert main(["rollback", output]) == 2
    assert "choose a channel with --channel" in capsys.readouterr().err
    assert main(["rollback", output, "--channel", CHANNEL]) == 0


def test_a_file_whose_name_is_not_utf8_is_forgotten_by_its_name(
    tmp_path: Path, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "in" / os.fsdecode(b"caf\xe9.jpg")
    photo.parent.mkdir()
    photo.write_bytes(b"x")
    run_all(open_ledger(open_store(output), list_all(str(photo.parent)).table))
    assert main(["forget", output, str(photo)]) == 0
    assert capsys.readouterr().out == "1 photo is forgotten; gc --delete erases the bytes\n"


def test_forget_and_take_back(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_all(open_ledger(open_store(output), make_inputs(3)))
    uris = make_inputs(3)["uri"].to_pylist()
    assert main(["forget", output, uris[1], "--why", "asked"]) == 0
    assert capsys.readouterr().out == "1 photo is forgotten; gc --delete erases the bytes\n"
    assert open_run(output).images().num_rows == 2
    assert main(["forget", output, uris[1], uris[2]]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 photo is forgotten; gc --delete erases the bytes", "1 photo was forgotten already",
    ]  # fmt: skip
    assert main(["forget", output, uris[2], "--take-back"]) == 0
    assert capsys.readouterr().out == "1 photo is shown again\n"
    assert main(["gc", output, "--delete"]) == 0
    capsys.readouterr()
    assert main(["forget", output, uris[1]]) == 0, "its rows are erased, and it is known by its id"
    assert capsys.readouterr().out == "1 photo was forgotten already\n"
    assert uris[1].startswith("s3://")
    hadoop = f"s3a{uris[1][2:]}"
    assert main(["forget", output, hadoop, uris[0], "--take-back", "--json"]) == 0
    (line,) = printed_records(capsys)
    assert (line["changed"], line["already"], line["in_no_run"]) == (1, 1, [])


def test_what_no_run_has_is_not_told_as_forgotten(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address in short, as it was typed for the job; stored ones are in full."""
    run_all(open_ledger(open_store(output), make_inputs(3)))
    for _ in range(2):
        assert main(["forget", output, "ugc/000002.jpg"]) == 1
        assert capsys.readouterr().out.splitlines() == [
            "no committed run has ugc/000002.jpg",
            "that address is on the list of forgotten photos all the same, for later runs",
            "addresses are as in `images.uri`, for instance s3://ugc/000002.jpg",
        ]
    assert open_run(output).images().num_rows == 3
    assert main(["forget", output, "s3://ugc/000001.jpg", "s3://ugc/a", "s3://ugc/b"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "no committed run has s3://ugc/a",
        "no committed run has s3://ugc/b",
        "these addresses are on the list of forgotten photos all the same, for later runs",
        "addresses are as in `images.uri`, for instance s3://ugc/000000.jpg",
        "1 photo is forgotten; gc --delete erases the bytes",
    ]
    assert main(["forget", output, "ugc/000002.jpg", "--take-back"]) == 0
    assert capsys.readouterr().out == "1 photo is shown again\n"
    assert main(["forget", output, "typo", "--take-back"]) == 1
    assert capsys.readouterr().out.startswith("no committed run has typo\naddresses are as in")


@pytest.mark.parametrize("more", [[], ["s3://ugc/000001.jpg"], ["--take-back"]])
def test_an_empty_address_is_refused_and_nothing_is_forgotten(
    more: list[str], output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a shell variable that is not set."""
    run_all(open_ledger(open_store(output), make_inputs(3)))
    for empty in ("", " "):
        assert main(["forget", output, empty, *more]) == 2
        assert "an empty address names no photo: give addresses as in" in capsys.readouterr().err
    assert not [*open_store(output).list("forgotten/")]


def test_prune_shows_first_and_refuses_much(
    output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "in"
    photos.mkdir()
    for number in range(4):
        Image.new("RGB", (8, 8)).save(photos / f"{number}.png")
    run_all(open_ledger(open_store(output), list_all(str(photos)).table))
    (photos / "1.png").unlink()
    assert main(["prune", output, str(photos)]) == 0
    words = capsys.readouterr().out
    assert f"{photos}/1.png" in words
    assert "1 of 4 live photos are gone from the input; nothing removed, add --delete" in words
    assert main(["prune", output, str(photos), "--delete"]) == 1
    assert "more than --most 0.1 allows; nothing removed" in capsys.readouterr().out
    assert open_run(output).images().num_rows == 4
    assert main(["prune", output, str(photos), "--delete", "--most", "0.25"]) == 0
    assert open_run(output).images().num_rows == 3
    assert main(["prune", output, str(tmp_path), "--delete"]) == 0
    assert "0 of 3 live photos are gone" in capsys.readouterr().out
    (tmp_path / "other").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "other" / "1.png")
    assert main(["prune", output, str(tmp_path / "other")]) == 0
    output = capsys.readouterr().out
    assert output == "no live photo lies below that input: nothing could be gone from it\n"


def test_prune_by_a_list_with_other_names_and_bad_rows(
    output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_all(open_ledger(open_store(output), make_inputs(3)))
    path = tmp_path / "photos.csv"
    uris = [f"s3://ugc/{number:06}.jpg" for number in range(3)]
    path.write_text("\n".join(["image,bytes", *(f"{uri},1" for uri in uris)]))
    assert main(["prune", output, str(path), "--uri-column", "image"]) == 0
    assert "0 of 3 live photos are gone" in capsys.readouterr().out
    path.write_text(f"image,bytes\n{uris[0]},1\n{uris[1]},-1\n")
    assert main(["prune", output, str(path), "--uri-column", "image"]) == 0
    assert capsys.readouterr().out.startswith(f"{uris[2]}\n1 of 2 live photos are gone")
    path.write_text(f"image,bytes\n{uris[0]},1\n,1\n")
    assert main(["prune", output, str(path), "--uri-column", "image", "--delete"]) == 2
    assert "rows of the list (1) have addresses that cannot be read" in capsys.readouterr().err
    assert open_run(output).images().num_rows == 3


def test_a_run_that_was_resumed_and_pruned_can_be_retried(
    output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both were about the input of its own job, and go together with no retry."""
    asked = {**MANUAL, "input": "in", "output": output, "resume": "0" * 16, "prune": True}
    ledger = open_ledger(open_store(output), make_inputs(2))
    run = run_all(ledger, {0: "permanent"}, **asked).run_id
    seen: list[Settings] = []
    monkeypatch.setattr("pipeline.cli.crop.crop", lambda settings: seen.append(settings) or 0)
    assert main(["retry", output, run]) == 0
    (settings,) = seen
    assert (settings.input.retry, settings.input.resume) == (run, "")
    assert not settings.running.prune


def test_gc_goes_on_past_a_damaged_run(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(output)
    damaged = run_all(open_ledger(store, make_inputs(2))).run_id
    whole = open_ledger(store, make_inputs(2, start=5))
    for mark in ("a", "b"):
        whole.commit_task(0, done(whole.task_inputs(0), mark=mark))
    whole.finish({})
    Path(output, "runs", damaged, "_MANIFEST.json").write_bytes(b"{")
    assert main(["gc", output, "--older-than", "0s", "--delete"]) == 0
    said = capsys.readouterr()
    assert "2 objects" in said.out
    assert f"WARNING: run {damaged} is left as it is" in said.err
    assert len(list(store.list(f"_data/crops/run={damaged}/"))) == 1
