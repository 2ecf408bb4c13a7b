"""The long form of the promotion race tests. `pytest -m chaos tests/chaos -s` prints figures."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.promoters import Tally, one_round, place

pytestmark = pytest.mark.chaos
ROUNDS = int(os.environ.get("CHAOS_PROMOTION_ROUNDS", "8"))  # in a folder; five eighths on S3
Record = Callable[[str, object], None]
FAULTS = {"throttle": 0.05, "lost": 0.05, "reset": 0.03, "truncate": 0.03, "conflict": 0.03}


@pytest.mark.parametrize("rolls", [False, True], ids=["promoters", "and rollbacks"])
def test_in_a_folder(tmp_path: Path, rolls: bool, record_property: Record) -> None:
    total = Tally()
    for number in range(ROUNDS):
        notes = tmp_path / f"notes-{number}"
        total.add(one_round(place(str(tmp_path)), notes, 10, 10, 100 + number, rolls=rolls))
    record_property("figures", total)
    print(total)
    assert total.problems == []
    assert total.kills.total() >= 5 * ROUNDS


@pytest.mark.parametrize("rolls", [False, True], ids=["promoters", "and rollbacks"])
def test_on_s3(
    s3: str, s3_server: str, tmp_path: Path, rolls: bool, record_property: Record
) -> None:
    total = Tally()
    for number in range(max(2, 5 * ROUNDS // 8)):
        notes = tmp_path / f"notes-{number}"
        how = {"upstream": s3_server, "faults": FAULTS if number % 2 else {}, "rolls": rolls}
        total.add(one_round(place(s3), notes, 8, 8, 200 + number, **how))  # type: ignore[arg-type]
    record_property("figures", total)
    print(total)
    assert total.problems == []
    assert total.kills.total() >= 2 * ROUNDS
