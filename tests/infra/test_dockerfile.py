"""The image: no root, no floating tags, the tested versions, and everything the job imports."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

from tests.infra.manifests import INFRA, ROOT

TEXT = (INFRA / "Dockerfile").read_text()


def instructions() -> Iterator[tuple[str, str]]:
    """(INSTRUCTION, arguments), continued lines joined and comments gone."""
    lines = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, arguments = line.partition(" ")
        yield name, arguments.strip()


FOUND = list(instructions())


def of(name: str) -> list[str]:
    return [arguments for found, arguments in FOUND if found == name]


def test_bases_are_pinned_and_the_variant_chooses_one() -> None:
    bases = dict(line.split(" AS ")[::-1] for line in of("FROM"))
    assert bases.keys() == {"cuda", "cpu", "runtime"}
    assert bases["runtime"] == "${VARIANT}"
    assert "VARIANT=cuda" in of("ARG")
    assert re.fullmatch(r"nvidia/cuda:\d+\.\d+\.\d+-base-ubuntu24\.04", bases["cuda"])
    assert bases["cpu"] == "ubuntu:24.04"


def test_it_ends_as_a_user_without_rights() -> None:
    assert of("USER") == ["10001:10001"]
    last_user = max(i for i, (name, _) in enumerate(FOUND) if name == "USER")
    assert all(name == "CMD" for name, _ in FOUND[last_user + 1 :])
    assert "--uid 10001" in TEXT
    assert not any("--chown" in line for line in of("COPY")), "sources belong to root"


def test_dependencies_are_the_tested_set() -> None:
    installs = [line for line in of("RUN") if "pip install" in line]
    assert installs
    for line in installs:
        assert "--constraint constraints.txt" in line
    assert not re.search(r"https?://", TEXT), "nothing is fetched but packages"
    assert "ADD" not in {name for name, _ in FOUND}
    project = (ROOT / "pyproject.toml").read_text()
    extras = re.findall(r"\['optional-dependencies'\]\['(\w+)'\]", TEXT)
    assert extras == ["cluster", "onnx", "s3", "heic", "jpegli", "delta", "iceberg", "lineage"]
    for extra in extras:
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra


def test_a_head_that_ray_up_made_can_start_workers() -> None:
    """Ray's AWS provider imports boto3, and its command runner calls ssh and rsync."""
    (line,) = (line for line in of("RUN") if "pip install" in line)
    (source,) = re.findall(r'python -c "(.+?)" > /tmp/requirements\.txt', line)
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "boto3" in done.stdout.splitlines()
    assert re.search(r"(?m)^boto3==", (ROOT / "constraints.txt").read_text())
    (system,) = (line for line in of("RUN") if "apt-get install" in line)
    assert {"openssh-client", "rsync"} <= set(system.split())


def test_it_holds_every_package_and_what_the_manifests_start() -> None:
    copied = {source.rstrip("/") for line in of("COPY") for source in line.split()[:-1]}
    project = (ROOT / "pyproject.toml").read_text()
    (found,) = re.findall(r"packages\.find\.include = \[(.+)\]", project)
    packages = {name.rstrip("*") for name in re.findall(r'"([^"]+)"', found)}
    assert packages <= copied
    assert "infra/submit_nightly.py" in copied
    assert "PYTHONPATH=/app" in " ".join(of("ENV"))
    ignored = (INFRA / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    assert copied <= {line.removeprefix("!") for line in ignored if line.startswith("!")}


def test_make_installs_what_reads_heic_too() -> None:
    """`make setup` installs the extra `dev`, which has `all`, which has `heic`, which is pinned."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert "--editable '.[dev]'" in (ROOT / "Makefile").read_text()
    assert "s2cnet-thumbnails[all]" in extras["dev"]
    (everything,) = extras["all"]
    assert "heic" in everything.split("[")[1].rstrip("]").split(",")
    assert [one.split(">")[0] for one in extras["heic"]] == ["pillow-heif"]
    assert "pillow_heif==" in (ROOT / "constraints.txt").read_text()
