"""The machines of a Ray cluster: those that are there, and those that an autoscaler can start."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import ray
from ray._private.state import state as cluster_state  # no public call tells either

from pipeline.words import counted


class ClusterNode(NamedTuple):
    """A machine's cores and GPUs, which may be fractions."""

    cpus: float
    gpus: float


def cluster_nodes() -> list[ClusterNode]:
    """Return the machines of the cluster that are not about to leave it."""
    leaving = cluster_state.get_draining_nodes()
    return [
        ClusterNode(node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] not in leaving
    ]


def machine_kinds() -> set[ClusterNode]:
    """Return the different machines of the cluster, without its head if there are others.

    The head is the one machine of which an autoscaler starts no other.
    """
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    others = [one for one in alive if "node:__internal_head__" not in one and one.get("CPU")]
    return {ClusterNode(one.get("CPU", 0.0), one.get("GPU", 0.0)) for one in others or alive}


def startable_gpus() -> float:
    """Return the GPUs of the largest machine that an autoscaler says it can start; 0 if none does.

    Hosted clusters tell Ray's control service which machines they have. The autoscalers of `ray up`
    and of KubeRay do not.
    """
    groups = getattr(cluster_state.get_cluster_config(), "node_group_configs", [])
    found = [float(one.resources["GPU"]) for one in groups if one.max_count]
    return max((math.inf if gpus < 0 else gpus for gpus in found), default=0.0)  # -1: any number


def total(nodes: Iterable[ClusterNode]) -> ClusterNode:
    """Add up the cores and GPUs of machines."""
    there = list(nodes)
    return ClusterNode(sum(one.cpus for one in there), sum(one.gpus for one in there))


def gpus_in_words(nodes: Iterable[ClusterNode]) -> str:
    """Say how many GPUs the machines have: `1 machine with 4 GPUs, 2 machines with 0 GPUs`."""
    there = [one.gpus for one in nodes]
    return ", ".join(
        f"{counted(there.count(gpus), 'machine')} with {counted(gpus, 'GPU')}"
        for gpus in sorted(set(there), reverse=True)
    )
