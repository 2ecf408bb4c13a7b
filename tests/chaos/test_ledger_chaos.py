"""The long form of the ledger's kill tests. `pytest -m chaos tests/chaos -s` prints figures."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.campaign import campaign

pytestmark = pytest.mark.chaos
RUNS = int(os.environ.get("CHAOS_LEDGER_RUNS", "50"))  # and two fifths of them with faults
Record = Callable[[str, object], None]
FIFTH = {
    "throttle": 0.05, "lost": 0.05, "reset": 0.04, "truncate": 0.03, "conflict": 0.02, "slow": 0.01,
}  # fmt: skip


def test_fifty_runs_with_two_hundred_kills(
    s3: str, s3_server: str, tmp_path: Path, record_property: Record
) -> None:
    figures = campaign(s3_server, s3, RUNS, 5, {}, seed=1000, folder=tmp_path)
    record_property("figures", figures)
    print(figures)
    assert (figures.lost, figures.doubled, figures.partial_reads) == (0, 0, 0)
    assert figures.problems == []
    assert figures.kills.total() >= 4 * RUNS


def test_twenty_runs_with_a_fifth_of_the_requests_faulty(
    s3: str, s3_server: str, tmp_path: Path, record_property: Record
) -> None:
    figures = campaign(s3_server, s3, 2 * RUNS // 5, 3, FIFTH, seed=2000, folder=tmp_path)
    record_property("figures", figures)
    print(figures)
    assert (figures.lost, figures.doubled, figures.partial_reads) == (0, 0, 0)
    assert figures.problems == []
    requests, clean = figures.requests["requests"], figures.requests["none"]
    assert (requests - clean - figures.requests["hold"]) / requests > 0.15
