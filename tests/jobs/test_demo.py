"""The demo's own steps, without its services; `make demo` runs them all."""

import os
from pathlib import Path

import pytest
from PIL import Image

from pipeline.cli.demo import DemoError, leave_callers_cluster, photo_paths


def test_the_demo_leaves_the_caller_s_cluster_and_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "AWS_PROFILE", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "production")
    monkeypatch.setenv("XRAY_TRACE", "kept")
    leave_callers_cluster()
    assert "production" not in os.environ.values()
    assert os.environ["XRAY_TRACE"] == "kept"


def test_photos_of_a_folder_or_of_the_packages(tmp_path: Path) -> None:
    assert len(list(photo_paths(None))) >= 5
    with pytest.raises(DemoError, match="is not a folder"):
        list(photo_paths(tmp_path / "absent"))
    with pytest.raises(DemoError, match="holds no"):
        list(photo_paths(tmp_path))
    (tmp_path / "inner").mkdir()
    for name in ("b.JPG", "inner/a.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("")
    assert [path.name for path in photo_paths(tmp_path)] == ["b.JPG", "a.png"]
