"""Step `machine`: the hardware and versions, needed to interpret the figures later."""

import os
import platform
import shutil
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from tests.gpu_proof.timing import write

PACKAGES = (
    "torch", "torchvision", "ray", "pyarrow", "pillow", "numpy", "opencv-python-headless",
    "cykooz-resizer", "msgspec", "seccompy", "pyjpegli", "onnxruntime",
)  # fmt: skip


def run(device: str, photos: Path, document: Path) -> None:
    """Write hardware, date and versions."""
    found = {
        "date": datetime.now(UTC).date().isoformat(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else "none",
        "gpu_memory_gb": _memory_gb(device),
        "cores": os.cpu_count(),
        "processor": processor(),
        "memory_for_handing_on_gb": round(shutil.disk_usage("/dev/shm").total / 1e9, 1),
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if device == "cuda" else None,
        "photos": sum(1 for _ in photos.iterdir()),
        "megapixels": "12, 2 and 1.5, as phones and messengers make them",
        **{name: _version(name) for name in PACKAGES},
    }
    print(found)
    write(document, "machine", found)


def processor() -> str:
    """Return the processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _memory_gb(device: str) -> float:
    if device != "cuda":
        return 0.0
    return round(torch.cuda.get_device_properties(0).total_memory / 1e9, 1)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
