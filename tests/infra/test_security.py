"""Security of the manifests: no root, no overlap, the token everywhere, consistent versions."""

import re
import shlex
from typing import Any

import pytest

import pipeline
from pipeline.cli.crop import parser
from pipeline.ray_variables import KEEP_IDLE_WORKERS
from pipeline.settings import Settings
from tests.infra.manifests import INFRA, ROOT, containers, documents, kubernetes, ray_job, templates

TEMPLATES = templates()
CONTAINERS = [
    pytest.param(container, id=f"{name}-{container['name']}")
    for name, template in TEMPLATES.items()
    for container in containers(template)
]
PROJECT = (ROOT / "pyproject.toml").read_text()


def only(kind: str, name: str) -> dict[str, Any]:
    (found,) = (d for d in kubernetes() if (d["kind"], d["metadata"]["name"]) == (kind, name))
    return found


def environment(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry for entry in container.get("env", ())}


def test_two_nights_never_run_at_once() -> None:
    spec = only("CronJob", "crop-nightly")["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["timeZone"] == "Etc/UTC"
    assert ray_job()["spec"]["activeDeadlineSeconds"] < 24 * 3600


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_pods_are_nobody_in_particular(template: dict[str, Any]) -> None:
    spec = template["spec"]
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] >= 10_000
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert not any("hostPath" in volume for volume in spec.get("volumes", ()))


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_have_no_powers(container: dict[str, Any]) -> None:
    security = container["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert not security.get("privileged")


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_what_ray_writes_has_a_place(template: dict[str, Any]) -> None:
    """The root is read-only: sessions, spilled blocks and notes go to /tmp, and HOME is there."""
    empty = {volume["name"] for volume in template["spec"]["volumes"] if "emptyDir" in volume}
    for container in containers(template):
        if "RAY_AUTH_MODE" in environment(container):  # it starts Ray, or a client of Ray's
            mounts = {m["mountPath"] for m in container["volumeMounts"] if m["name"] in empty}
            assert {"/tmp", environment(container)["HOME"]["value"]} <= mounts


@pytest.mark.parametrize("container", CONTAINERS)
def test_containers_say_what_they_need(container: dict[str, Any]) -> None:
    resources = container["resources"]
    assert {"cpu", "memory"} <= resources["requests"].keys()
    assert resources["limits"]["memory"] == resources["requests"]["memory"]
    gpu = "nvidia.com/gpu"
    assert resources["limits"].get(gpu) == resources["requests"].get(gpu)


def test_only_the_nightly_pod_may_ask_kubernetes_for_anything() -> None:
    for name, template in TEMPLATES.items():
        account = template["spec"].get("serviceAccountName")
        if name == "nightly":
            assert account == "crop-nightly"
        else:
            assert template["spec"]["automountServiceAccountToken"] is False, name
    assert only("ServiceAccount", "crop-job")["automountServiceAccountToken"] is False
    (rule,) = only("Role", "crop-nightly")["rules"]
    assert rule == {"apiGroups": ["ray.io"], "resources": ["rayjobs"], "verbs": ["create", "get"]}
    roles = [d for d in kubernetes() if d["kind"] in {"Role", "ClusterRole"}]
    assert len(roles) == 1
    assert only("RoleBinding", "crop-nightly")["subjects"] == [
        {"kind": "ServiceAccount", "name": "crop-nightly", "namespace": "thumbnails"}
    ]


def test_the_token_is_on_everywhere_and_comes_from_the_secret() -> None:
    cluster = ray_job()["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token", "secretName": "ray-auth"}
    for name, template in TEMPLATES.items():
        for container in containers(template) if name != "nightly" else []:
            found = environment(container)
            assert found["RAY_AUTH_MODE"]["value"] == "token", name
            source = found["RAY_AUTH_TOKEN"]
            assert "value" not in source, name
            assert source["valueFrom"]["secretKeyRef"] == {"name": "ray-auth", "key": "auth_token"}
    (machines,) = documents("ray_cluster.yaml")
    assert "--env RAY_AUTH_MODE=token" in machines["docker"]["run_options"]
    assert machines["file_mounts"] == {"/home/ray/.ray/auth_token": "~/.ray/auth_token"}
    for command in machines["head_start_ray_commands"] + machines["worker_start_ray_commands"]:
        assert command == "ray stop" or command.startswith("RAY_AUTH_MODE=token ray start")
    assert "RAY_AUTH_MODE=token" in (INFRA / "Dockerfile").read_text()


def test_no_file_holds_a_secret() -> None:
    for path in (path for path in INFRA.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        text = path.read_text()
        assert not re.search(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b", text), path.name
        assert not re.search(r"(?i)(secret_access_key|auth_token)\s*[:=]\s*['\"]?\w{16,}", text)


def test_versions_agree() -> None:
    images = {c["image"] for t in TEMPLATES.values() for c in containers(t)}
    (machines,) = documents("ray_cluster.yaml")
    images.add(machines["docker"]["image"])
    assert images == {f"registry.example.com/s2cnet-thumbnails:{pipeline.__version__}"}
    (pinned,) = re.findall(r"(?m)^ray==(.+)$", (ROOT / "constraints.txt").read_text())
    assert ray_job()["spec"]["rayClusterSpec"]["rayVersion"] == pinned
    (least,) = re.findall(r"ray\[data,default\]>=([\d.]+)", PROJECT)
    assert [int(n) for n in pinned.split(".")] >= [int(n) for n in least.split(".")]


def test_the_entrypoint_is_a_command_line_that_the_job_takes() -> None:
    entrypoint = ray_job()["spec"]["entrypoint"]
    assert not re.search(r"[^\w ./:,=-]", entrypoint), (
        "KubeRay and a shell read it too: plain words"
    )
    python, script, *arguments = shlex.split(entrypoint)
    assert (python, script) == ("python", "/app/jobs/crop_bucket.py")
    settings = Settings.of(**vars(parser().parse_args(arguments)))
    assert settings.input.input == "s3://ugc/2026/11/21/"
    assert settings.running.output == "s3://thumbs/"
    head = TEMPLATES["head"]
    ports = {port["name"]: port["containerPort"] for port in head["spec"]["containers"][0]["ports"]}
    assert settings.running.metrics_port == ports["figures"]
    assert head["metadata"]["annotations"]["prometheus.io/port"] == str(
        settings.running.metrics_port
    )


def test_strangers_pictures_are_not_decoded_on_the_head() -> None:
    assert ray_job()["spec"]["rayClusterSpec"]["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    (machines,) = documents("ray_cluster.yaml")
    assert machines["available_node_types"]["head"]["resources"] == {"CPU": 0}


def test_workers_are_spot_and_the_head_is_not() -> None:
    assert TEMPLATES["head"]["spec"]["nodeSelector"] == {"karpenter.sh/capacity-type": "on-demand"}
    for group in ray_job()["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        assert group["replicas"] == group["minReplicas"] == group["maxReplicas"]
        spec = group["template"]["spec"]
        assert spec["nodeSelector"] == {"karpenter.sh/capacity-type": "spot"}
        assert {"key": "spot", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    assert ray_job()["spec"]["backoffLimit"] >= 1
    (machines,) = documents("ray_cluster.yaml")
    for name, kind in machines["available_node_types"].items():
        market = kind["node_config"].get("InstanceMarketOptions", {}).get("MarketType")
        assert market == (None if name == "head" else "spot")


@pytest.mark.parametrize("heads", [1, 2, 14])
def test_a_drain_takes_no_head(heads: int) -> None:
    """Kubernetes asks a RayCluster in vain for its scale, which all other forms need."""
    spec = only("PodDisruptionBudget", "ray-head")["spec"]
    assert spec.keys() == {"minAvailable", "selector"}
    assert type(spec["minAvailable"]) is int, "not a percentage"
    assert heads - spec["minAvailable"] <= 0
    assert spec["selector"] == {"matchLabels": {"ray.io/node-type": "head"}}


def test_workers_drain_before_they_are_killed() -> None:
    """Ray ends a node that is told to so long after; Kubernetes kills it later still."""
    name = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"
    for group in ray_job()["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        spec = group["template"]["spec"]
        (worker,) = containers(group["template"])
        drain_s = float(environment(worker)[name]["value"])
        assert 30 < drain_s + 10 <= spec["terminationGracePeriodSeconds"]


def test_readers_that_wait_are_kept_on_every_node() -> None:
    (name,) = KEEP_IDLE_WORKERS
    for group in ray_job()["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        (worker,) = containers(group["template"])
        assert environment(worker)[name]["value"] == KEEP_IDLE_WORKERS[name]
    (machines,) = documents("ray_cluster.yaml")
    assert f"--env {name}={KEEP_IDLE_WORKERS[name]}" in machines["docker"]["run_options"]


def test_shared_memory_and_tmp_fit_into_the_pod() -> None:
    for name, template in TEMPLATES.items():
        volumes = {v["name"]: v.get("emptyDir", {}) for v in template["spec"].get("volumes", ())}
        if "shared-memory" in volumes:
            (container,) = containers(template)
            pod = int(container["resources"]["limits"]["memory"].removesuffix("Gi"))
            store = int(volumes["shared-memory"]["sizeLimit"].removesuffix("Gi"))
            assert volumes["shared-memory"]["medium"] == "Memory"
            assert store <= pod / 3 + 1, name  # the rest is for the processes


def test_network_is_closed_by_default_and_the_metadata_service_out_of_reach() -> None:
    policies = {d["metadata"]["name"]: d["spec"] for d in kubernetes()
                if d["kind"] == "NetworkPolicy"}  # fmt: skip
    assert policies["deny-all"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, spec in policies.items():
        for rule in spec.get("egress", ()):
            for peer in rule["to"]:
                if "ipBlock" in peer:
                    assert "169.254.0.0/16" in peer["ipBlock"]["except"], name
                    assert {port["port"] for port in rule["ports"]} <= {443, 6443}, name
        for rule in spec.get("ingress", ()):
            assert rule["from"], name
            assert all("ipBlock" not in peer for peer in rule["from"]), name
    (head,) = (rule for rule in policies["ray-head"]["ingress"]
               if {"protocol": "TCP", "port": 8265} in rule["ports"])  # fmt: skip
    assert all("podSelector" in peer for peer in head["from"])


def test_policies_select_labels_that_the_pods_have() -> None:
    labels = {name: t.get("metadata", {}).get("labels", {}) for name, t in TEMPLATES.items()}
    for name in ("nightly", "submitter"):
        assert labels[name]["app.kubernetes.io/component"] == name
        selected = only("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"]
        assert selected.items() <= labels[name].items()


def test_machines_are_not_open_to_the_world() -> None:
    (machines,) = documents("ray_cluster.yaml")
    for rule in machines["provider"]["security_group"]["IpPermissions"]:
        assert (rule["FromPort"], rule["ToPort"]) == (22, 22)
        assert all(r["CidrIp"].startswith("10.") for r in rule["IpRanges"])
    for kind in machines["available_node_types"].values():
        assert kind["node_config"]["MetadataOptions"]["HttpTokens"] == "required"
    assert "--dashboard-host=127.0.0.1" in machines["head_start_ray_commands"][1]


def test_the_namespace_admits_restricted_pods_only() -> None:
    (space,) = (d for d in kubernetes() if d["kind"] == "Namespace")
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    named = [d for d in kubernetes() if d["kind"] != "Namespace"]
    assert {d["metadata"]["namespace"] for d in named} == {space["metadata"]["name"]}
