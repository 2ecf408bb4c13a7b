"""Weights files: what is read, and what is refused."""

import contextlib
import io
import pickle
import random
import threading
import warnings
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from s2cnet import WeightsError, load_model, to_published_state_dict
from s2cnet.checkpoints import files
from s2cnet.checkpoints.files import parse_weights
from tests.support.drawn import draw_inputs, small_network


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("code in a weights file was run",))


def saved(content: object, **how: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **how)
    return buffer.getvalue()


def bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights/data.pkl", bytes(2000))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "neither a safetensors file nor"),
        (b"<html>sign in</html>", "neither a safetensors file nor"),
        (pickle.dumps(Attack(), protocol=2), "neither a safetensors file nor"),
        (saved({"weight": Attack()}), "neither a safetensors file nor"),
        (saved({"state": {"weight": torch.zeros(1)}}), "expected a plain state dict"),
        (saved([torch.zeros(1)]), "expected a plain state dict"),
        (saved({"weight": torch.zeros(50)})[:-200], "neither a safetensors file nor"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{broken", "damaged safetensors"),
        (bomb(), "unpacks to more than"),
        (saved({1: torch.zeros(1)}), "expected names of tensors, not ints: 1"),
        (saved({"w": torch.zeros(3, device="meta")}), "w has a shape and no values"),
        (saved({"w": torch.eye(3).to_sparse()}), "w is no dense tensor"),
        (saved({"w": torch.zeros(3, dtype=torch.complex64)}), "w is no dense tensor"),
        (saved({"w": torch.zeros(1).expand(1 << 30)}), "the tensors have 4096 MiB"),
        (b"weights are over there\n" * 50, "neither a safetensors file nor"),
    ],
    ids=["empty", "html", "pickle", "code", "nested", "list", "cut", "safetensors", "bomb",
         "numbered", "meta", "sparse", "complex", "expanded", "text"],
)  # fmt: skip
def test_files_that_are_refused(
    data: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if message.startswith("unpacks"):
        monkeypatch.setattr(files, "LARGEST_BYTES", 1000)
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=f"weights.pth: .*{message}"):
        load_model(path)


def test_damaged_files_give_one_kind_of_error() -> None:
    """Bytes changed at random: a file loads or is refused, whatever breaks inside the parsers."""
    generator = random.Random(0)
    whole = [
        saved({"weight": torch.zeros(5)}),
        saved({"weight": torch.zeros(5)}, _use_new_zipfile_serialization=False),
        safetensors.torch.save({"weight": torch.zeros(5)}),
    ]
    for _ in range(600):
        data = bytearray(generator.choice(whole))
        for _ in range(generator.randrange(1, 6)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        with contextlib.suppress(WeightsError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert all(isinstance(t, Tensor) for t in parse_weights(bytes(data)).values())


def test_too_large_and_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(bytes(1001))
    monkeypatch.setattr(files, "LARGEST_BYTES", 1000)
    with pytest.raises(WeightsError, match="larger than"):
        load_model(path)
    with pytest.raises(WeightsError, match="there is no weights file"):
        load_model(tmp_path / "absent.pth")
    with pytest.raises(WeightsError, match="cannot read the weights file"):
        load_model("nosuchprotocol://weights.pth")
    with pytest.raises(WeightsError, match="a mapping has none"):
        load_model({}, sha256="00")


@pytest.fixture
def refusing() -> Iterator[str]:
    """Address of a server that answers with the number that is asked for."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(int(self.path.strip("/")))

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *words: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [403, 500])
def test_a_refused_file_is_not_said_to_be_missing(refusing: str, status: int) -> None:
    pytest.importorskip("aiohttp")
    address = f"{refusing}/{status}"
    with pytest.raises(WeightsError, match=f"cannot read the weights file {address}: {status}, "):
        load_model(address)


def test_errors_of_any_file_system_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "no.zip"
    path.write_bytes(b"no archive")
    with pytest.raises(WeightsError, match=r"weights file zip://.*no\.zip: File is not a zip"):
        load_model(f"zip://weights.pth::{path}")
    errors = pytest.importorskip("botocore.exceptions")

    def refuse(*_: object) -> None:
        raise errors.NoCredentialsError

    monkeypatch.setattr(files.fsspec, "open", refuse)
    with pytest.raises(WeightsError, match=r"weights file s3://b/w\.pth: Unable to locate cred"):
        load_model("s3://b/w.pth")


def test_starter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(files, "files", lambda package: tmp_path)
    with pytest.raises(WeightsError, match="no starter weights"):
        load_model("starter")
    (tmp_path / "weights").mkdir()
    network = small_network()
    content = to_published_state_dict(network)
    safetensors.torch.save_file(content, tmp_path / "weights/starter.safetensors")
    inputs = draw_inputs([12], [10])
    assert torch.equal(load_model("starter").score(*inputs), load_model(content).score(*inputs))
