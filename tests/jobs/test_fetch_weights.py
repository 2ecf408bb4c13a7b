"""The published checkpoints, from a download to a converted file, without the network."""

import io
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from pipeline.cli import fetch_weights, published_weights
from s2cnet import WeightsError, load_model
from tests.support.drawn import drawn_state_dict


def pth(preset: str) -> bytes:
    buffer = io.BytesIO()
    torch.save(drawn_state_dict(preset), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("preset", ["gaicv1", "gaicv2"])
def test_fetched_checkpoint_becomes_pinned_safetensors(preset: str, tmp_path: Path) -> None:
    asked = []

    def open_url(url: str) -> io.BytesIO:
        asked.append(url)
        return io.BytesIO(pth(preset))

    data = published_weights.fetch(preset, open_url)
    assert asked == [published_weights.URL.format(published_weights.DRIVE_IDS[preset])]
    path, digest = published_weights.convert(data, preset, tmp_path)
    assert path.name == f"{preset}-{digest[:12]}.safetensors"
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    network = load_model(path, sha256=digest)
    expected = load_model(drawn_state_dict(preset)).state_dict()
    assert all(torch.equal(t, expected[name]) for name, t in network.state_dict().items())
    with safe_open(path, "pt") as file:
        assert file.metadata()["preset"] == preset


def test_a_web_page_instead_of_a_file() -> None:
    with pytest.raises(WeightsError, match="--file"):
        published_weights.fetch("gaicv1", lambda url: io.BytesIO(b"\n<!DOCTYPE html>"))


def test_without_a_connection_the_page_and_the_option_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(published_weights, "URL", "http://127.0.0.1:9/{}")
    assert fetch_weights.main(["gaicv2", "--output", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    page = published_weights.PAGE.format(published_weights.DRIVE_IDS["gaicv2"])
    assert f"open {page} in a browser" in said
    assert "gaicv2 --file THE_FILE" in said


def test_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_weights, "LARGEST_BYTES", 10)
    with pytest.raises(WeightsError, match="more than"):
        published_weights.fetch("gaicv1", lambda url: io.BytesIO(bytes(11)))


def test_command_converts_a_file_by_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "downloaded.pth"
    source.write_bytes(pth("gaicv1"))
    output = tmp_path / "out"
    assert fetch_weights.main(["gaicv1", "--file", str(source), "--output", str(output)]) == 0
    (path,) = output.iterdir()
    assert path.name in capsys.readouterr().out


def test_command_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "downloaded.pth"
    source.write_bytes(pth("gaicv1"))
    arguments = ["--file", str(source), "--output", str(tmp_path / "out")]
    assert fetch_weights.main(["gaicv1", "gaicv2", *arguments]) == 2
    assert not (tmp_path / "out").exists()
    assert fetch_weights.main(["gaicv2", *arguments]) == 2
    assert f"--file {source} is no gaicv2: not the layout" in capsys.readouterr().err
    assert fetch_weights.main(["gaicv1", *arguments[2:], "--file", str(tmp_path / "none.pth")]) == 2
    told = f"--file {tmp_path}/none.pth cannot be read: No such file or directory: name the .pth"
    assert told in capsys.readouterr().err
    assert fetch_weights.main(["gaicv1", *arguments[:2], "--output", str(source)]) == 2
    assert f"--output {source} is no folder to write to: " in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_hold_a_checkpoint_is_told_before_it_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(published_weights, "URL", "http://127.0.0.1:9/{}")  # nothing listens
    (tmp_path / "file").touch()
    assert fetch_weights.main(["gaicv1", "--output", str(tmp_path / "file")]) == 2
    told = f"--output {tmp_path}/file is no folder to write to: File exists\n"
    assert capsys.readouterr().err.endswith(told)


def test_a_download_that_is_another_network_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "served.pth").write_bytes(pth("gaicv1"))
    monkeypatch.setattr(published_weights, "URL", f"{(tmp_path / 'served.pth').as_uri()}#{{}}")
    assert fetch_weights.main(["gaicv2", "--output", str(tmp_path)]) == 1
    assert "gaicv2: not the layout" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        fetch_weights.main(["gaicv3"])
    assert caught.value.code == 2
