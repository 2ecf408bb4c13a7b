"""Every manifest is valid for its reader; an unknown or misspelt field fails.

Kubernetes: its own JSON schemas, strict, from the package kubernetes-validate. KubeRay: no package
ships its schemas, so a strict one for the parts used is next to this file. `ray up`: Ray's own
schema and checks. Grafana and Prometheus: the parts used, by hand.
"""

import copy
import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.infra.manifests import INFRA, documents, kubernetes, ray_job, templates

VERSIONS = ("1.33", kubernetes_validate.latest_version())  # 1.33: what the features used need
SCHEMA = json.loads((Path(__file__).parent / "ray_job.schema.json").read_text())


def named(document: dict[str, Any]) -> str:
    return f"{document['kind']}-{document['metadata']['name']}"


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", kubernetes(), ids=named)
def test_kubernetes_objects(document: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "template"), templates().items(), ids=lambda v: str(v)[:9])
def test_pod_templates(name: str, template: dict[str, Any], version: str) -> None:
    document = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": name}}
    kubernetes_validate.validate({**document, "template": template}, version, strict=True)


def test_the_schemas_do_refuse() -> None:
    (nightly,) = documents("kubernetes/nightly.yaml")
    wrong = copy.deepcopy(nightly)
    wrong["spec"]["concurencyPolicy"] = wrong["spec"].pop("concurrencyPolicy")
    with pytest.raises(kubernetes_validate.ValidationError, match="concurencyPolicy"):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)
    job = ray_job()
    job["spec"]["rayClusterSpec"]["authOption"] = {}
    with pytest.raises(jsonschema.ValidationError, match="authOption"):
        jsonschema.validate(job, SCHEMA)


def test_ray_job() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(ray_job(), SCHEMA)


def test_ray_up_file() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    (cluster,) = documents("ray_cluster.yaml")
    spec = find_spec("ray.autoscaler")
    assert spec is not None
    assert spec.origin is not None
    schema = json.loads((Path(spec.origin).parent / "ray-schema.json").read_text())
    jsonschema.validate(cluster, schema)
    filled = prepare_config(cluster)
    validate_config(filled)
    for when in ("setup_commands", "head_setup_commands", "worker_setup_commands"):
        assert filled[when] == [], "Ray's own ones install packages, and the container may not"


def test_kustomization_names_files_that_exist() -> None:
    (made,) = documents("kubernetes/kustomization.yaml")
    files = [*made["resources"], *made["configMapGenerator"][0]["files"]]
    for name in files:
        assert (INFRA / "kubernetes" / name).is_file(), name
    unused = {path.name for path in (INFRA / "kubernetes").iterdir()} - {*files}
    assert unused == {"kustomization.yaml"}


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl renders the kustomization")
def test_kustomization_renders_the_same_objects() -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(INFRA / "kubernetes")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    rendered = {named(d): d for d in yaml.safe_load_all(done.stdout)}
    maps = [name for name in rendered if name.startswith("ConfigMap-ray-job-")]
    assert {*rendered} - {*maps} == {named(d) for d in kubernetes()}
    (config,) = maps
    (volume,) = rendered["CronJob-crop-nightly"]["spec"]["jobTemplate"]["spec"]["template"][
        "spec"]["volumes"]  # fmt: skip
    assert f"ConfigMap-{volume['configMap']['name']}" == config
    assert rendered[config]["data"].keys() == {"ray_job.yaml"}


def test_grafana_dashboard_is_whole() -> None:
    dashboard = json.loads((INFRA / "grafana.json").read_text())
    assert {"title", "uid", "panels", "templating", "schemaVersion"} <= dashboard.keys()
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24, panel["title"]
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
        assert panel["targets"], panel["title"]
        assert panel["datasource"]["uid"] == "${source}"
