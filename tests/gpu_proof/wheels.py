"""`python -m tests.gpu_proof.wheels FOLDER`: download what a machine with only torch lacks.

For Python 3.12 on x86-64 Linux by default; versions are those in constraints.txt.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[2] / "constraints.txt"
LACKING = (
    "cykooz-resizer", "jsonschema", "jsonschema-specifications", "msgpack", "msgspec",
    "pillow-heif", "prometheus-client", "pyjpegli", "ray", "referencing", "rpds-py", "safetensors",
    "seccompy",
)  # fmt: skip
PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28")


def main() -> int:
    """Download the wheels; returns pip's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="version of Python there (default: 3.12)")
    parser.add_argument("--machine", default="x86_64", help="processor there (default: x86_64)")
    options = parser.parse_args()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--implementation", "cp", "--python-version", options.python]
    command += [f"--platform={name}_{options.machine}" for name in PLATFORMS]
    command += ["--dest", str(options.folder), *pinned()]
    return subprocess.run(command).returncode


def pinned() -> list[str]:
    """Return the missing packages, with this source tree's versions."""
    versions = dict(re.findall(r"^([\w.-]+)==(\S+)", CONSTRAINTS.read_text(), re.MULTILINE))
    known = {name.lower().replace("_", "-"): version for name, version in versions.items()}
    return [f"{name}=={known[name]}" if name in known else name for name in LACKING]


if __name__ == "__main__":
    sys.exit(main())
