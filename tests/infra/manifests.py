"""The files of infra/, parsed, and every pod and container in them."""

import datetime
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
sys.path.insert(0, str(INFRA))

import submit_nightly  # noqa: E402

Document = dict[str, Any]
DAY = datetime.date(2026, 11, 21)


def documents(name: str) -> list[Document]:
    """Every YAML document of a file below infra/."""
    return [d for d in yaml.safe_load_all((INFRA / name).read_text()) if d]


def ray_job() -> Document:
    """The RayJob as the API server gets it, for one day."""
    template = (INFRA / "kubernetes/ray_job.yaml").read_text()
    return submit_nightly.ray_job(template, DAY, "crop-nightly-29396790", "a-b-c")


def kubernetes() -> list[Document]:
    """Every object that Kubernetes itself knows."""
    files = ("namespace.yaml", "network.yaml", "nightly.yaml")
    return [d for name in files for d in documents(f"kubernetes/{name}")]


def ray_templates() -> Iterator[tuple[str, Document]]:
    """(name, pod template) of the submitter, the head and each worker group."""
    spec = ray_job()["spec"]
    cluster = spec["rayClusterSpec"]
    yield "submitter", spec["submitterPodTemplate"]
    yield "head", cluster["headGroupSpec"]["template"]
    for group in cluster["workerGroupSpecs"]:
        yield group["groupName"], group["template"]


def templates() -> dict[str, Document]:
    """Every pod template there is."""
    (nightly,) = documents("kubernetes/nightly.yaml")
    found = {"nightly": nightly["spec"]["jobTemplate"]["spec"]["template"]}
    return {**found, **dict(ray_templates())}


def containers(template: Document) -> list[Document]:
    return [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]
