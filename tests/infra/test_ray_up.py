"""What Ray's own updater does on a machine with the `ray up` file, without the machine."""

import copy
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.autoscaler._private.aws.config import DEFAULT_AMI, _check_ami
from ray.autoscaler._private.command_runner import DockerCommandRunner
from ray.autoscaler._private.updater import NodeUpdater
from ray.autoscaler._private.util import prepare_config

from tests.infra.manifests import INFRA, documents

TOKEN = "/home/ray/.ray/auth_token"
ON_THE_HOST = f"/tmp/ray_tmp_mount/s2cnet-thumbnails{TOKEN}"
UBUNTU, RAY = 1000, 10001
root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can act as other users")


class Machine:
    """Stands for `subprocess`: keeps each command line and answers as a fresh machine."""

    DEVNULL = subprocess.DEVNULL

    def __init__(self) -> None:
        self.asked: list[str] = []

    def check_call(self, command: list[str], *_: Any, **__: Any) -> int:
        self.asked.append(" ".join(command).replace("//home", "/home"))
        return 0

    def check_output(self, command: list[str], *_: Any, **__: Any) -> bytes:
        self.check_call(command)
        return b'["PATH=/opt/venv/bin"]' if "Config.Env" in command[-1] else b""


class Provider:
    """Stands for AWS: one instance that is there."""

    def get_command_runner(
        self, prefix: str, node: str, auth: Any, cluster: str, machine: Any, internal: bool,
        docker: Any,
    ) -> DockerCommandRunner:  # fmt: skip
        runner = DockerCommandRunner(
            docker, log_prefix=prefix, node_id=node, provider=self, auth_config=auth,
            cluster_name=cluster, process_runner=machine, use_internal_ip=internal,
        )  # fmt: skip
        runner.ssh_command_runner.ssh_control_path = None  # it would make a folder for SSH
        return runner

    def __getattr__(self, name: str) -> Any:
        answers = {"internal_ip": "10.20.0.7", "node_tags": {}, "is_terminated": False}
        return lambda *_: copy.copy(answers.get(name))


def commands(tmp_path: Path, *, head: bool) -> list[str]:
    """All that `ray up` (the head), or the autoscaler (a worker), has a fresh machine do."""
    (cluster,) = documents("ray_cluster.yaml")
    filled, machine = prepare_config(cluster), Machine()
    (tmp_path / "auth_token").write_text("secret")
    which = "head" if head else "worker"
    NodeUpdater(
        node_id="i-1",
        provider_config={},
        provider=Provider(),
        auth_config=filled["auth"],
        cluster_name=filled["cluster_name"],
        file_mounts={remote: str(tmp_path / "auth_token") for remote in filled["file_mounts"]},
        initialization_commands=filled["initialization_commands"],
        setup_commands=filled[f"{which}_setup_commands"],
        ray_start_commands=filled[f"{which}_start_ray_commands"],
        runtime_hash="a",
        file_mounts_contents_hash="b",
        is_head_node=head,
        process_runner=machine,
        use_internal_ip=True,
        docker_config=filled["docker"],
    ).run()
    return machine.asked


@pytest.mark.parametrize("head", [True, False], ids=["head", "worker"])
def test_the_token_is_made_readable_between_its_copy_and_the_container(
    tmp_path: Path, head: bool
) -> None:
    asked = commands(tmp_path, head=head)

    def place(*words: str) -> int:
        (found,) = (i for i, line in enumerate(asked) if all(word in line for word in words))
        return found

    copied = place("rsync --rsh", ON_THE_HOST)
    started = place("docker run", f"-v {ON_THE_HOST}:{TOKEN}")
    assert copied < place(f"chgrp {RAY} {ON_THE_HOST}") < place(f"chmod 0640 {ON_THE_HOST}")
    assert place(f"chmod 0640 {ON_THE_HOST}") < started < place("ray start")
    assert not any("pip install" in line for line in asked)
    assert f"USER {RAY}:{RAY}" in (INFRA / "Dockerfile").read_text()


def test_no_machine_starts_from_rays_own_picture_of_a_disk() -> None:
    """Ray's is Ubuntu 18.04, whose driver is too old for the CUDA of the image."""
    (cluster,) = documents("ray_cluster.yaml")
    filled = prepare_config(cluster)
    _check_ami(filled)
    kinds = filled["available_node_types"].items()
    images = {name: kind["node_config"]["ImageId"] for name, kind in kinds}
    assert images["head"] == images["cpu"] != images["gpu"]
    readme = (INFRA / "README.md").read_text()
    for image in images.values():
        assert image not in DEFAULT_AMI.values()
        assert f"`{image}`" in readme, "a name to change"
    for needed in ("Ubuntu 24.04", "driver 580", "container toolkit", "Docker"):
        assert needed in readme


@pytest.fixture
def token() -> Iterator[Path]:
    """As rsync leaves it: of `ubuntu` and nobody else's, in folders that all may enter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "auth_token"
        path.write_text("secret")
        path.chmod(0o600)
        os.chown(path, UBUNTU, UBUNTU)
        os.chown(folder, UBUNTU, UBUNTU)
        Path(folder).chmod(0o755)
        yield path


def run_as(user: int, *command: str) -> bool:
    """Whether the command of a user of one group, who has no capabilities, goes well."""
    done = subprocess.run(command, user=user, group=user, extra_groups=[], capture_output=True)
    return done.returncode == 0


def initialise(token: Path) -> None:
    """Ray's SSH session of `ubuntu`: sudo acts as root, the rest as `ubuntu`."""
    (cluster,) = documents("ray_cluster.yaml")
    for line in cluster["initialization_commands"]:
        words = line.replace(ON_THE_HOST, str(token)).split()
        assert str(token) in words
        assert run_as(0, *words[1:]) if words[0] == "sudo" else run_as(UBUNTU, *words)


@root
def test_the_container_reads_the_token_and_nobody_else_does(token: Path) -> None:
    assert not run_as(RAY, "cat", str(token))
    initialise(token)
    assert run_as(RAY, "cat", str(token))
    assert not run_as(RAY + 1, "cat", str(token))
    assert not run_as(RAY, "sh", "-c", f"echo x > {token}")


@root
def test_a_second_sync_is_as_good_as_the_first(token: Path) -> None:
    """Ray takes possession of the folder before each, without sudo, and rsync sets the mode."""
    initialise(token)
    assert run_as(UBUNTU, "chown", "-R", str(UBUNTU), str(token.parent))
    assert run_as(UBUNTU, "chmod", "0600", str(token))
    initialise(token)
    assert run_as(RAY, "cat", str(token))
