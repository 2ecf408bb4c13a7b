"""Fetch a published S2CNet checkpoint, check it, and write it as safetensors."""

import hashlib
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import safetensors.torch

from pipeline.output_files import write_atomic
from s2cnet import WeightsError, from_published_state_dict, to_published_state_dict
from s2cnet.checkpoints.files import LARGEST_BYTES, parse_weights

DRIVE_IDS = {
    "gaicv1": "1FqUBO9MZNyaePDjyd6TEGz2AIKeNf1MU",
    "gaicv2": "1xtvNU0G7243ZKW29QR8Fpv4mFJn6a7TF",
}
PAGE = "https://drive.google.com/file/d/{}/view"  # for a person
URL = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"
TIMEOUT_S = 10.0  # of silence on the connection

OpenUrl = Callable[[str], AbstractContextManager[IO[bytes]]]


def fetch(preset: str, open_url: OpenUrl | None = None) -> bytes:
    """Download a published checkpoint; returns its bytes.

    Raises WeightsError if the connection fails or the answer is no checkpoint; the message says
    how to fetch it by hand.
    """
    open_url = open_url or (lambda url: urllib.request.urlopen(url, timeout=TIMEOUT_S))
    url = URL.format(DRIVE_IDS[preset])
    by_hand = (
        f"open {PAGE.format(DRIVE_IDS[preset])} in a browser, save the checkpoint of {preset}, and "
        f"give it: {preset} --file THE_FILE"
    )
    try:
        with open_url(url) as answer:
            data = answer.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"{url} can't be fetched: {error}; {by_hand}") from error
    if len(data) > LARGEST_BYTES:
        raise WeightsError(f"{url} sends more than {LARGEST_BYTES >> 20} MiB")
    if data.lstrip()[:1] == b"<":
        raise WeightsError(f"{url} answered with a web page, not a file; {by_hand}")
    return data


def convert(data: bytes, preset: str, folder: Path) -> tuple[Path, str]:
    """Check a checkpoint against its preset; write `<preset>-<hash>.safetensors` into a folder.

    Returns its path and the sha256 to pin (`load_model(..., sha256=...)`). The file's metadata
    contain the preset and the sha256 of the source file. Raises WeightsError.
    """
    network = from_published_state_dict(parse_weights(data), preset)
    origin = {"preset": preset, "source_sha256": hashlib.sha256(data).hexdigest()}
    content = safetensors.torch.save(to_published_state_dict(network), metadata=origin)
    digest = hashlib.sha256(content).hexdigest()
    path = folder / f"{preset}-{digest[:12]}.safetensors"
    write_atomic(path, content)
    return path, digest
