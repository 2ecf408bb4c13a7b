"""A file that is not a detector's weights gives one kind of error, which says what to do."""

import hashlib
import io
import json
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from pipeline.detectors import checkpoint
from pipeline.detectors.checkpoint import read_checkpoint
from pipeline.errors import UsageError

ADVICE = "Fetch it with s2cnet-fetch-weights."


def saved(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def archive(size: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("weights/data.pkl", bytes(size))
    return buffer.getvalue()


def numbers_of(kind: str) -> bytes:
    """A safetensors file of one tensor of a kind of numbers."""
    head = json.dumps({"w": {"dtype": kind, "shape": [2], "data_offsets": [0, 2]}}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(2)


ODD = {
    "numbers that torch lacks": numbers_of("F8_E8M0"),
    "numbers that nobody knows": numbers_of("F7"),
    "deep": b"12345678" + b'{"a":' * 50_000,
    "text": b"the weights are on the other disk\n" * 20,
    "empty": b"",
    "integer keys": saved({1: torch.zeros(1)}),
    "meta": saved({"w": torch.zeros(3, device="meta")}),
    "sparse": saved({"w": torch.eye(3).to_sparse()}),
    "large when unpacked": archive(2000),
    "large when expanded": saved({"w": torch.zeros(1).expand(1 << 30)}),
    "a list": saved([torch.zeros(1)]),
    "cut": saved({"w": torch.zeros(50)})[:-200],
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_checkpoint_is_one_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "large when unpacked":
        monkeypatch.setattr(checkpoint, "LARGEST_BYTES", 1500)
    path = tmp_path / "w.pth"
    path.write_bytes(ODD[name])
    with pytest.raises(UsageError) as refused:
        read_checkpoint(str(path), ADVICE)
    message = str(refused.value)
    assert message.startswith(f"can't use the weights {path}: ")
    assert message.endswith(ADVICE)
    assert "\n" not in message


@pytest.mark.parametrize(
    "content", [{"model": {1: torch.zeros(1)}}, {"model": {"w": 3}}, {"other": {}}, [1]]
)
def test_the_same_inside_the_entry_that_holds_the_tensors(content: object, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(saved(content))
    with pytest.raises(UsageError, match="can't use the weights"):
        read_checkpoint(str(path), ADVICE, "model")


def test_a_checkpoint_comes_with_the_hash_of_its_file(tmp_path: Path) -> None:
    data = saved({"model": {"w": torch.ones(2)}})
    (tmp_path / "w.pth").write_bytes(data)
    tensors, sha256 = read_checkpoint(str(tmp_path / "w.pth"), ADVICE, "model")
    assert tensors["w"].tolist() == [1.0, 1.0]
    assert sha256 == hashlib.sha256(data).hexdigest()
