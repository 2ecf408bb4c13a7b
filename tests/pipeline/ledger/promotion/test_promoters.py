"""Two concurrent promoters that get killed, and a concurrent reader; the short form."""

from pathlib import Path

from tests.chaos.promoters import one_round, place


def test_in_a_folder_with_somebody_rolling_back(tmp_path: Path) -> None:
    tally = one_round(place(str(tmp_path)), tmp_path / "notes", 6, 4, seed=1, rolls=True)
    assert tally.problems == []
    assert tally.promotions >= 12
    assert tally.reads_of_live > 0


def test_on_s3_killed_at_the_version_they_write(s3: str, s3_server: str, tmp_path: Path) -> None:
    faults = {"lost": 0.03, "conflict": 0.02, "throttle": 0.02}
    tally = one_round(
        place(s3), tmp_path / "notes", 4, 4, seed=3, upstream=s3_server, faults=faults
    )
    assert tally.problems == []
    assert tally.promotions >= 8
    assert tally.kills.total() >= 2
