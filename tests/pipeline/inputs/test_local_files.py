"""Local files: what a link or a list must not make the job read, and files that never answer."""

import errno
import io
import os
import threading
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import LedgerError, ReadError, UsageError
from pipeline.inputs import local_files
from pipeline.inputs.list_limits import MAX_COLUMNS
from pipeline.inputs.listing import Listing, list_all
from pipeline.inputs.reading import read_image
from pipeline.inputs.selection import Selection
from pipeline.inputs.table_files import MAX_DEPTH, read_table_file
from pipeline.storage import local
from tests.support.closed_folders import close


def status_of(uri: str) -> tuple[str, str]:
    with pytest.raises(ReadError) as failed:
        read_image(uri)
    return failed.value.status, failed.value.kind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos" / "inner").mkdir(parents=True)
    (tmp_path / "photos" / "a.jpg").write_bytes(b"a")
    (tmp_path / "private.jpg").write_bytes(b"secret")
    return tmp_path / "photos"


def test_links_out_of_the_folder_are_left_out_and_said(folder: Path) -> None:
    (folder / "inner" / "out.jpg").symlink_to(folder.parent / "private.jpg")
    (folder / "again.jpg").symlink_to(folder / "inner" / "out.jpg")
    (folder / "inside.jpg").symlink_to("a.jpg")
    found = list_all(str(folder))
    assert [Path(u).name for u in found.table["uri"].to_pylist()] == ["a.jpg", "inside.jpg"]
    assert "those that are links that lead out of the folder: 2" in found.left_out.message
    linked = folder.parent / "linked"
    linked.symlink_to(folder)  # the folder itself may be one
    names = [Path(u).name for u in list_all(str(linked)).table["uri"].to_pylist()]
    assert names == ["a.jpg", "inside.jpg"]
    globbed = list_all(f"{folder}/**/*.jpg")
    assert [Path(u).name for u in globbed.table["uri"].to_pylist()] == ["a.jpg", "inside.jpg"]


def test_links_to_nothing_and_pipes_are_left_out_and_said(folder: Path) -> None:
    """A checkout without its contents (git-annex, DVC) has only such links."""
    (folder / "annexed.jpg").symlink_to("inner/objects/a.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    os.mkfifo(folder / "pipe.jpg")
    found = list_all(str(folder))
    assert [Path(u).name for u in found.table["uri"].to_pylist()] == ["a.jpg"]
    assert "those that are links to nothing, or no regular files: 3" in found.left_out.message
    assert f"{folder}/annexed.jpg" in found.left_out.message


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="/proc is Linux's")
def test_links_to_folders_are_not_followed_and_said(folder: Path) -> None:
    (folder / "album").symlink_to(folder.parent)
    left_out = list_all(str(folder)).left_out
    assert left_out.places["are links to folders, which are not followed"] == [f"{folder}/album/"]


def test_a_photo_has_one_address_however_its_folder_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `..` behind a link to a folder leads to the folder above what the link leads to."""
    plain = list_all(str(folder))
    assert plain.table.num_rows > 0
    far = folder.parent / "far" / "away"
    far.mkdir(parents=True)
    (folder.parent / "link").symlink_to(far)
    monkeypatch.chdir(far)
    above, name = folder.parent, folder.name
    for given in (f"../../{name}", f"{above}/none/../{name}", f"{above}/link/../../{name}"):
        found = list_all(given)
        assert found.table["uri"].equals(plain.table["uri"]), given
        assert all(map(found.within, plain.table["uri"].to_pylist())), given
    assert list_all(f"../../{name}/*").table["uri"].to_pylist()[0].startswith(f"{folder}/")


@pytest.mark.parametrize("name", ["list.txt", "list.tsv", "list.json", "list.XLSX", "list.xls"])
def test_a_file_that_is_neither_photo_nor_list_says_how_lists_end(folder: Path, name: str) -> None:
    (folder / name).write_text("uri\ns3://b/a.jpg\n")
    with pytest.raises(UsageError, match=r"is no photo by its name, and no list: those end in"):
        list_all(str(folder / name))
    assert name not in str(list_all(str(folder)).table["uri"])  # beside photos it is left out


def test_the_system_s_own_files_are_not_read(folder: Path) -> None:
    (folder / "link.jpg").symlink_to("/proc/self/environ")
    for uri in (
        "/proc/self/environ",
        "file:///proc/self/environ",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        str(folder / "link.jpg"),
        "/tmp/../proc/self/environ",
    ):
        assert status_of(uri) in [("forbidden", "circumstances"), ("not_found", "circumstances")]
    assert status_of("/proc/self/environ")[0] == "forbidden"


def test_a_file_system_that_does_not_answer_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(local_files, "read_file", lambda *_: answers.wait(60))
    started = time.monotonic()
    with pytest.raises(ReadError, match=r"did not answer within 0\.2 s") as failed:
        local_files.read_local(str(folder / "a.jpg"), None, None, 0.2)
    assert (failed.value.status, failed.value.kind) == ("timeout", "transient")
    assert time.monotonic() - started < 5
    answers.set()


def test_a_pipe_in_the_place_of_a_file_does_not_hang(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It looked like a file a moment before."""
    os.mkfifo(folder / "pipe.jpg")
    for module in (local, local_files):
        monkeypatch.setattr(module, "file_status", Path.stat)
    started = time.monotonic()
    assert status_of(str(folder / "pipe.jpg"))[0] == "not_found"
    assert time.monotonic() - started < 5


def written(table: pa.Table, path: Path) -> str:
    pq.write_table(table, path)
    return str(path)


def test_lists_have_so_many_columns_and_no_more(tmp_path: Path) -> None:
    names = [f"c{n}" for n in range(MAX_COLUMNS)]
    wide = pa.table({"uri": ["a"], **{name: [1] for name in names}})
    csv, lines = tmp_path / "l.csv", tmp_path / "l.jsonl"
    csv.write_text(",".join(["uri", *names]) + "\n")
    lines.write_text("\n".join(f'{{"uri": "a", "{name}": 1}}' for name in names))
    for uri in (written(wide, tmp_path / "l.parquet"), str(csv), str(lines)):
        with pytest.raises(UsageError, match=f"columns, at most {MAX_COLUMNS:,}"):
            read_table_file(uri)
    csv.write_text(",".join(["uri", *names[1:]]) + "\na" + "," * (MAX_COLUMNS - 1) + "\n")
    assert read_table_file(str(csv))[0].num_columns == MAX_COLUMNS


def test_what_nests_too_deeply_costs_its_row(tmp_path: Path) -> None:
    def line(depth: int) -> str:
        return f'{{"uri": "s3://b/{depth}", "x": {"[" * depth}{"]" * depth}}}'

    lines = tmp_path / "l.jsonl"
    lines.write_text("\n".join(line(depth) for depth in (1, MAX_DEPTH, MAX_DEPTH + 9, 100_000)))
    table, left_out = read_table_file(str(lines))
    assert table["uri"].to_pylist() == ["s3://b/1", f"s3://b/{MAX_DEPTH}"]
    assert sum(left_out.rows.values()) == 2


def test_parquet_that_nests_too_deeply_is_refused_in_one_line(tmp_path: Path) -> None:
    kind: pa.DataType = pa.int32()
    value: object = 1
    for _ in range(200):
        kind, value = pa.list_(kind), [value]
    stream = io.BytesIO()
    pq.write_table(pa.table({"uri": ["a"], "x": pa.array([value], kind)}), stream)
    (tmp_path / "l.parquet").write_bytes(stream.getvalue())
    with pytest.raises(UsageError, match="too deeply nested"):
        read_table_file(str(tmp_path / "l.parquet"))


@pytest.mark.parametrize("given", ["{}", "{}/**", "{}/inner/*.jpg"])
def test_a_folder_that_cannot_be_listed_stops_the_job(
    folder: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (folder / "inner" / "b.jpg").write_bytes(b"b")
    close(monkeypatch, folder / "inner")
    with pytest.raises(UsageError, match=r"/inner', which cannot be listed: Permission"):
        list_all(given.format(folder))


@pytest.mark.parametrize(
    ("given", "expected"),
    [("{}/*.jpg", ["a.jpg"]), ("{}/20*/*.jpg", ["c.jpg"]), ("{}/2*/[!/]*/*.jpg", ["d.jpg"])],
)
def test_a_folder_that_a_glob_cannot_match_is_not_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, given: str, expected: list[str]
) -> None:
    (folder / "2025-11" / "x").mkdir(parents=True)
    (folder / "20").mkdir()  # all that is literal in `20*`
    (folder / "2025-11" / "c.jpg").write_bytes(b"c")
    (folder / "2025-11" / "x" / "d.jpg").write_bytes(b"d")
    close(monkeypatch, folder / "inner")
    assert names_in(list_all(given.format(folder))) == expected
    close(monkeypatch, folder / "2025-11" / "x")
    with pytest.raises(UsageError, match="x', which cannot be listed"):
        list_all(f"{folder}/2*/*/*.jpg")


def test_a_folder_that_is_excluded_whole_is_not_listed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(monkeypatch, folder / "inner")
    for pattern in ("inner/**", "inn**", f"{folder}/inner/**"):
        assert names_in(list_all(str(folder), selection=Selection(exclude=(pattern,)))) == ["a.jpg"]
    for pattern in ("inner/*", "other/**"):  # neither takes in all that may be there
        with pytest.raises(UsageError, match=r'leave out a folder .* --exclude "NAME/\*\*"'):
            list_all(str(folder), selection=Selection(exclude=(pattern,)))


def test_a_glob_below_a_file_matches_nothing(folder: Path) -> None:
    with pytest.raises(UsageError, match="nothing found"):
        list_all(f"{folder}/a.jpg/*")


def test_a_disk_that_does_not_answer_is_no_wrong_usage(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(monkeypatch, folder / "inner", errno.EIO)
    with pytest.raises(LedgerError, match="Input/output error; start the same command again"):
        list_all(str(folder))


def test_what_belongs_to_the_file_system_stops_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "lost+found").mkdir()
    close(monkeypatch, folder / "lost+found")
    assert names_in(list_all(str(folder))) == ["a.jpg"]


def test_a_file_that_goes_while_it_is_listed_is_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "b.jpg").write_bytes(b"b")
    is_symlink = Path.is_symlink

    def goes(path: Path) -> bool:
        found = is_symlink(path)
        if path.name == "b.jpg":
            path.unlink()
        return found

    monkeypatch.setattr(Path, "is_symlink", goes)
    assert names_in(list_all(str(folder))) == ["a.jpg"]


def test_a_row_that_names_no_possible_file_costs_its_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, closed = folder / f"{'x' * 300}.jpg", folder / "inner" / "c.jpg"
    rows = "\n".join(map(str, ["uri", folder / "a.jpg", long, closed, "file:///a%00b.jpg"]))
    (folder.parent / "list.csv").write_text(rows)
    stat = Path.stat

    def refuse(path: Path, **how: bool) -> os.stat_result:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", refuse)
    found = {row["uri"]: row for row in list_all(str(folder.parent / "list.csv")).table.to_pylist()}
    assert found[str(folder / "a.jpg")]["bytes"] == 1
    assert found[str(long)]["etag"] is found[str(closed)]["etag"] is None
    assert status_of(str(long)) == ("bad_uri", "permanent")
    assert status_of(str(closed)) == ("forbidden", "circumstances")
    assert status_of("file:///a%00b.jpg")[0] in ("not_found", "bad_uri")


def names_in(found: Listing) -> list[str]:
    return [Path(uri).name for uri in found.table["uri"].to_pylist()]


def test_a_read_that_fails_in_its_thread_fails_at_once_as_itself(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that is short is no file system that does not answer, and is not waited for."""

    def short(*_: object) -> bytes:
        raise MemoryError("no room for a.jpg")

    monkeypatch.setattr(local_files, "read_file", short)
    begun = time.monotonic()
    with pytest.raises(MemoryError, match=r"no room for a\.jpg"):
        local_files.read_local(str(folder / "a.jpg"), None, None, deadline_s=5)
    assert time.monotonic() - begun < 2
