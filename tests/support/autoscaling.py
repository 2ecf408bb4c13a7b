"""A Ray cluster on this machine whose autoscaler starts nodes for what waits and ends idle ones."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from pipeline.cli.local_services import free_ports
from pipeline.ray_variables import ON_LOOPBACK
from tests.support.fresh import ROOT

FAKE_NODES = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
IDLE_S = 6  # after which a node ends
UP_S = 60.0
_COMMANDS = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray")


def _config(gcs: int, cores: int, most: int) -> dict[str, object]:
    """What `ray up` would fill in, for nodes of so many cores, at most `most` of them."""
    node = {"CPU": cores, "object_store_memory": 100 << 20}
    return {
        "cluster_name": "fake",
        "max_workers": most,
        "idle_timeout_minutes": IDLE_S / 60,
        "upscaling_speed": 100,
        "provider": {
            "type": "external",  # the type of Ray's fake nodes needs a file that no wheel has
            "module": FAKE_NODES,
            "gcs_address": f"127.0.0.1:{gcs}",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "head_node_id": FAKE_HEAD_NODE_ID,
            "launch_multiple": True,
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "worker": {"resources": node, "node_config": {}, "max_workers": most},
        },
        **{name: {} for name in ("auth", "docker", "file_mounts")},
        **{f"{name}_commands": [] for name in (*_COMMANDS, "worker_start_ray")},
        **{name: [] for name in ("cluster_synced_files", "rsync_exclude", "rsync_filter")},
        "file_mounts_sync_continuously": False,
    }


@contextlib.contextmanager
def autoscaling_cluster(cores: int, most: int, version: int = 1) -> Iterator[str]:
    """Run a head without cores, and yield its address; its autoscaler starts nodes.

    version: of the autoscaler: 1 is the one of `ray up`, 2 that of newer KubeRay.

    Ray's own `AutoscalingCluster` ends every Ray of this machine before it starts.
    """
    (gcs,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as own:
        config = Path(own, "config.json")
        config.write_text(json.dumps(_config(gcs, cores, most)))
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--node-ip-address=127.0.0.1", f"--port={gcs}", "--num-cpus=0"),
            *(f"--object-store-memory={100 << 20}", f"--temp-dir={own}", "--disable-usage-stats"),
            *("--include-dashboard=false", "--metrics-export-port=0"),
            f"--autoscaling-config={config}",
        ]
        environment = {
            **os.environ,
            **ON_LOOPBACK,
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "disabled",
            "RAY_FAKE_CLUSTER": "1",
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
            "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
            "RAY_enable_autoscaler_v2": str(version - 1),
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
        }
        with Path(own, "start.log").open("wb") as log:
            head = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        try:
            _await_start(head, gcs, Path(own, "start.log"))
            yield f"127.0.0.1:{gcs}"
        finally:
            _end(head)


def _await_start(head: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the head listens and says that it has started."""
    ends_s = time.monotonic() + UP_S
    while time.monotonic() < ends_s and head.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            if "--block" in log.read_text(errors="replace"):
                return
        time.sleep(0.2)
    raise AssertionError(log.read_text(errors="replace")[-2000:])


def _end(head: subprocess.Popen[bytes]) -> None:
    """End the head and all processes that it, or its autoscaler, has started."""
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(head.pid).children(recursive=True)
    head.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        head.wait(8)
    for one in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            one.kill()
    psutil.wait_procs(family, 10)
    head.kill()
    head.wait()
