"""The demo's own steps without its services; marked slow: the whole demo, and its services."""

import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pillow_heif
import psutil
import pytest
from PIL import Image

from pipeline.cli.demo import clear_connection_variables, main, without_crops
from pipeline.cli.demo_photos import photos_of
from pipeline.errors import SettingError
from tests.support.fresh import ROOT
from tests.support.odd_photos import scene

# What a caller may have set: all of it leads astray.
ASTRAY = {
    "RAY_ADDRESS": "ray://production:10001",
    "RAY_API_SERVER_ADDRESS": "http://production:8265",
    "AWS_PROFILE": "production",
    "AWS_ENDPOINT_URL_S3": "http://production:9000",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
}


def test_the_demo_leaves_the_caller_s_cluster_and_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "production")
    monkeypatch.setenv("XRAY_TRACE", "kept")
    for name in ("http_proxy", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.setenv(name, "http://production:3128")
    clear_connection_variables()
    assert not [value for value in os.environ.values() if "production" in value]
    assert os.environ["XRAY_TRACE"] == "kept"


@pytest.mark.parametrize("more", [[], ["--services-only"]])
@pytest.mark.parametrize(
    ("option", "name", "problem"),
    [
        ("--photos", "absent", "absent is not a folder: give one that holds photos"),
        ("--photos", "empty", "empty holds no photo: give a folder of .apng, .avif, "),
        ("--out", "file", "file/logs is no folder to write to: Not a directory"),
    ],
)
def test_a_folder_that_the_demo_cannot_use_is_wrong_usage(
    option: str, name: str, problem: str, more: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    given = {"--out": str(tmp_path / "out"), option: str(tmp_path / name)}
    words = [word for pair in given.items() for word in pair]
    assert main([*words, *more]) == 2
    assert f": {option} {tmp_path}/{problem}" in capsys.readouterr().err


def test_photos_of_a_folder_or_of_the_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(photos_of(None).paths) >= 5
    with pytest.raises(SettingError, match=r"^photos .* is not a folder: give one that holds"):
        photos_of(tmp_path / "absent")
    with pytest.raises(SettingError, match=r"^photos .* holds no photo: give a folder of \.apng"):
        photos_of(tmp_path)
    (tmp_path / "inner").mkdir()
    for name in ("b.JPG", "inner/a.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "c.heic").write_text("")
    for name in ("notes.txt", ".hidden.jpg", "film.mov", "z.pdf", "z.zip"):
        (tmp_path / name).write_text("")
    found = photos_of(tmp_path)
    assert [path.name for path in found.paths] == ["b.JPG", "c.heic", "a.png"]
    assert str(found) == "3 photos; left out: film.mov, notes.txt, z.pdf and 1 more"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [path.name for path in photos_of(Path("~/inner")).paths] == ["a.png"]


def test_a_misspelt_shape_is_told_before_anything_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["--out", str(out), "--ratios", "1:1,cirlce"]) == 2
    assert "did you mean circle?" in capsys.readouterr().err
    assert not out.exists()


def test_photos_without_crops_are_named_by_why() -> None:
    rows = [("ok", "0-a.jpg"), ("corrupt", "1-b.jpg"), ("empty", "2-c.jpg"), ("corrupt", "3-d.jpg")]
    images = [{"status": status, "uri": f"s3://photos/{name}"} for status, name in rows]
    assert without_crops(images) == [
        "no crops (corrupt): 1-b.jpg, 3-d.jpg",
        "no crops (empty): 2-c.jpg",
    ]


def demo(folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "jobs/demo.py", "--out", str(folder / "out"), *more]
    environment = {**os.environ, **ASTRAY, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def heic() -> bytes:
    file = io.BytesIO()
    picture = Image.fromarray(scene(200, 150))
    pillow_heif.from_pillow(picture).save(file, quality=80)
    return file.getvalue()


@pytest.mark.slow
def test_the_demo_in_fifteen_lines(tmp_path: Path) -> None:
    """A folder as it may be, and a caller whose variables lead elsewhere."""
    photos = tmp_path / "in"
    photos.mkdir()
    for number in range(3):
        Image.fromarray(scene(200 + 40 * number, 150)).save(photos / f"{number}.jpg")
    (photos / "phone.heic").write_bytes(heic())
    (photos / "lie.png").write_text("not a picture")
    (photos / "notes.txt").write_text("buy milk")
    process = demo(tmp_path, "--photos", str(photos), "--ratios", "1:1,16:9")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    lines = output.splitlines()
    assert len(lines) <= 15, output
    assert "left out: notes.txt" in output
    assert re.search(r"no crops \(\w+\): \d+-lie\.png", output)
    assert "8 crops in" in output, "HEIC as well"
    logs = tmp_path / "out" / "logs"
    assert str(logs) in output
    assert {path.name for path in logs.iterdir()} == {"job.log", "ray.log", "s3.log"}
    page = Path(lines[-1].strip().removeprefix("file://").partition("#")[0])
    assert page.is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_the_services_alone(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """They answer to what is exported, and leave nothing behind."""
    process = demo(tmp_path, "--services-only")
    exports = tmp_path / "out" / "services.env"
    lines = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if "ray job submit" in line:
            break
    assert exports.stat().st_mode & 0o077 == 0, "there is a token in it"
    values = {}
    for line in exports.read_text().splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        (values[name],) = shlex.split(value)
    request = urllib.request.Request(
        f"{values['RAY_API_SERVER_ADDRESS']}/api/version",
        headers={"Authorization": f"Bearer {values['RAY_AUTH_TOKEN']}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert "ray_version" in json.loads(answer.read())
    with urllib.request.urlopen(f"{values['AWS_ENDPOINT_URL']}/photos", timeout=10) as answer:
        assert b"astronaut.png" in answer.read()
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) > 3
    if number == signal.SIGINT:  # a job of another terminal joins: it takes no other address
        join = "import ray; ray.init(address='auto', logging_level='ERROR')"
        own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        subprocess.run([sys.executable, "-c", join], env={**own, **values}, check=True, timeout=60)
    time.sleep(0.5)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code, lines
    assert not psutil.wait_procs(family, 10)[1]
    assert not exports.exists()
