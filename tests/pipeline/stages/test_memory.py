"""Reading memory from Linux's files, with files in its format."""

from pathlib import Path

import pytest

from pipeline.stages.memory import is_short, kernel_kills


def files(folder: Path, **texts: str) -> Path:
    folder.mkdir()
    for name, text in texts.items():
        (folder / name.replace("_", ".", 1)).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("limit", "used", "reclaimable", "available", "short"),
    [
        ("1000", 950, 0, 900, True),  # of the container
        ("1000", 950, 100, 900, False),  # 850 without what is given back
        ("max", 950, 0, 900, False),
        ("1000", 10, 0, 100, True),  # of the machine: 900 of 1000
        ("1000", 10, 0, 101, False),
    ],
)
def test_short_of_memory(
    tmp_path: Path, limit: str, used: int, reclaimable: int, available: int, short: bool
) -> None:
    group = files(
        tmp_path / "group", memory_max=f"{limit}\n", memory_current=f"{used}\n",
        memory_stat=f"anon 5\ninactive_file {reclaimable}\n",
    )  # fmt: skip
    machine = files(
        tmp_path / "proc", meminfo=f"MemTotal:  1000 kB\nMemAvailable:  {available} kB\n"
    )
    assert is_short(group, machine) == short
    assert not is_short(tmp_path / "absent", tmp_path / "absent")


def test_kills_of_the_kernel(tmp_path: Path) -> None:
    group = files(tmp_path / "group", memory_events="low 0\noom 9\noom_kill 3\n")
    machine = files(tmp_path / "proc", vmstat="nr_free_pages 7\noom_kill 4\n")
    assert kernel_kills(group, machine) == 4
    assert kernel_kills(group, tmp_path / "absent") == 3
    assert kernel_kills(tmp_path / "absent", tmp_path / "absent") == 0
