from pipeline.words import counted


def test_one_has_its_own_noun() -> None:
    assert [counted(n, "photo") for n in (0, 1, 2, 1200)] == [
        "0 photos", "1 photo", "2 photos", "1,200 photos",
    ]  # fmt: skip
    assert [counted(n, "core") for n in (1.0, 2.0, 1.5)] == ["1 core", "2 cores", "1.5 cores"]
    assert counted(1, "process", "processes") == "1 process"
    assert counted(3, "process", "processes") == "3 processes"
