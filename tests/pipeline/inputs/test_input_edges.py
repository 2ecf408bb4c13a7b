"""Edges of the inputs: the last value that is allowed, the first that is not, rare branches."""

import gzip
import json
import socket
import threading
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import schema
from pipeline.errors import ReadError, SettingError, UsageError
from pipeline.inputs import http as http_module
from pipeline.inputs import listing, table_files
from pipeline.inputs.globs import is_pattern, literal_prefix, regex_of
from pipeline.inputs.http import HttpPolicy, read_http, resolve
from pipeline.inputs.left_out import LeftOut
from pipeline.inputs.listing import list_all, list_inputs, read_image, refuse_overlap
from pipeline.inputs.lists import MAX_BOXES, MAX_URI_CHARACTERS
from pipeline.inputs.override_rows import read_override_rows
from pipeline.inputs.overrides import Overrides
from pipeline.inputs.selection import Selection
from pipeline.inputs.table_files import is_table_file, table_format
from pipeline.storage.store import open_store


def csv(folder: Path, text: str) -> str:
    (folder / "list.csv").write_text(text)
    return str(folder / "list.csv")


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("[bc", "[bc", "b"),
        ("bc]", "bc]", "c"),
        ("[]", "[]", "["),
        ("a[1]", "a1", "a[1]"),
        (r"[\d]", "\\", "5"),
        (r"[\d]", "d", "\\d"),
        ("[!ab]", "c", "a"),
        ("[a!]", "!", "c"),
        ("[[]x", "[x", "x"),
        ("**/x", "x", "ax"),
        ("**/x", "a/b/x", "a/bx"),
        ("a/**", "a/b/c", "b/a/c"),
        ("a/*", "a/b", "a/b/c"),
        ("a?c", "abc", "a/c"),
        ("**", "line\nbreak", ""),
        ("a.b", "a.b", "axb"),
    ],
)
def test_what_a_pattern_matches(pattern: str, yes: str, no: str) -> None:
    assert regex_of(pattern).fullmatch(yes)
    assert not regex_of(pattern).fullmatch(no) or no == ""


def test_what_makes_a_pattern_and_what_stands_before_it() -> None:
    assert [is_pattern(text) for text in ("a*", "a?", "[a", "a]", "a.b")] == [True] * 3 + [
        False
    ] * 2
    assert literal_prefix("s3://b/a[1]/*.jpg") == "s3://b/a"
    assert literal_prefix("s3://b/plain") == "s3://b/plain"
    with pytest.raises(UsageError, match=r"'\[z-a\]' is not a pattern: bad character range"):
        regex_of("[z-a]")


def recorded(hosts: set[str], answer: list[str] | OSError) -> tuple[HttpPolicy, list[object]]:
    """A policy whose look-up notes what it was asked."""
    asked: list[object] = []

    def look_up(host: str, port: int) -> list[str]:
        asked.append((host, port))
        if isinstance(answer, OSError):
            raise answer
        return answer

    return HttpPolicy(frozenset(hosts), timeout_s=2, resolve=look_up), asked


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("http://img.example/x", ("img.example", 80)),
        ("HTTPS://IMG.example./x", ("img.example", 443)),
        ("https://img.example:8443/x", ("img.example", 8443)),
    ],
)
def test_a_host_is_looked_up_with_the_port_of_its_scheme(uri: str, asked: object) -> None:
    policy, found = recorded({"img.example"}, OSError("no such name"))
    with pytest.raises(ReadError, match="has no address: no such name") as failed:
        read_http(uri, policy, None)
    assert failed.value.status == "network"
    assert found == [asked]


def test_a_host_without_an_address_is_refused() -> None:
    policy, _ = recorded({"img.example"}, [])
    with pytest.raises(ReadError, match="non-public") as failed:
        read_http("http://img.example/", policy, None)
    assert failed.value.status == "forbidden"


def test_the_system_s_look_up_gives_numbers() -> None:
    assert resolve("127.0.0.1", 80) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        ({".cdn.example"}, "a.cdn.example", True),
        ({".cdn.example"}, "cdn.example", False),
        ({"cdn.example"}, "a.cdn.example", False),
        ({"cdn.example"}, "cdn.example", True),
        ({".example"}, "a.b.example", True),
    ],
)
def test_which_hosts_a_policy_allows(hosts: set[str], host: str, allowed: bool) -> None:
    assert HttpPolicy(frozenset(hosts)).allows(host) is allowed


def serve_once(answer: bytes) -> tuple[int, list[bytes], threading.Thread]:
    """A server that gives one answer, whatever it is asked, and keeps the connection open."""
    listening = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def run() -> None:
        with listening, listening.accept()[0] as connection:
            heard.append(connection.recv(65_536))
            connection.sendall(answer)
            connection.settimeout(20)
            if not answer.endswith(b"#"):
                return
            connection.recv(1)  # until the other side closes

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return listening.getsockname()[1], heard, thread


def ask(
    answer: bytes, max_bytes: int | None = None, path: str = "/", host: str = "h", **policy: float
) -> tuple[bytes, bytes]:
    port, heard, thread = serve_once(answer)
    given = HttpPolicy(frozenset({"h"}), timeout_s=5, resolve=lambda h, p: ["127.0.0.1"],
                       public=lambda address: True)  # fmt: skip
    try:
        return read_http(f"http://{host}:{port}{path}", replace(given, **policy), max_bytes), heard[
            0
        ]
    finally:
        thread.join(20)


def http_answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status} X", *headers, "", ""])
    return head.encode() + body


@pytest.mark.parametrize(
    ("code", "status"),
    [(404, "not_found"), (410, "not_found"), (429, "throttled"), (503, "throttled"),
     (500, "network"), (502, "network"), (499, "forbidden"), (204, "forbidden"),
     (201, "forbidden"), (301, "forbidden"), (401, "forbidden")],
)  # fmt: skip
def test_each_code_has_its_status(code: int, status: str) -> None:
    with pytest.raises(ReadError, match=f"HTTP {code}") as failed:
        ask(http_answer(code, b"", "Content-Length: 0"))
    assert failed.value.status == status


def test_a_body_may_have_as_many_bytes_as_are_allowed() -> None:
    body, heard = ask(http_answer(200, b"12345", "Content-Length: 5"), max_bytes=5, path="/a b?c d")
    assert body == b"12345"
    assert heard.startswith(b"GET /a%20b?c%20d HTTP/1.1\r\n")
    assert heard.count(b"Host: h:") == 1
    for given in (b"12345", b"123456789"):
        with pytest.raises(ReadError, match="more than 4 bytes") as failed:
            ask(http_answer(200, given, f"Content-Length: {len(given)}"), max_bytes=4)
        assert failed.value.status == "too_large"


def test_a_host_is_named_as_it_is_written_and_no_path_is_the_root() -> None:
    _, heard = ask(http_answer(200, b"x"), host="H", path="")
    assert heard.startswith(b"GET / HTTP/1.1\r\n")
    assert b"\r\nHost: H:" in heard


def test_a_length_that_is_missing_or_nonsense_is_not_compared() -> None:
    assert ask(http_answer(200, b"123"), max_bytes=9)[0] == b"123"
    with pytest.raises(ReadError, match="3 of 5 bytes arrived"):
        ask(http_answer(200, b"123", "Content-Length: 5"), max_bytes=9)


def test_an_answer_that_falls_silent_is_told_from_one_that_takes_too_long() -> None:
    begun = http_answer(200, b"12#", "Content-Length: 99")
    with pytest.raises(ReadError, match=r"'h' was silent for 0\.3 s") as failed:
        ask(begun, timeout_s=0.3)
    assert failed.value.status == "timeout"
    with pytest.raises(ReadError, match=r"'h' took over 0\.3 s") as failed:
        ask(begun, timeout_s=20, total_s=0.3)
    assert failed.value.status == "timeout"


def test_nothing_that_is_no_http_passes() -> None:
    with pytest.raises(ReadError, match="BadStatusLine") as failed:
        ask(b"SSH-2.0-OpenSSH\r\n")
    assert failed.value.status == "network"


def test_a_connection_that_is_closed_before_it_opened_can_be_cut_off() -> None:
    http_module.CheckedConnection("h", 80, "127.0.0.1", False, 1).cut_off()


def test_a_listing_is_put_together_from_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (tmp_path / f"{number}.jpg").write_bytes(bytes(number))
    whole = list_inputs(str(tmp_path))
    for rows in (1, 2, 5, 6):
        monkeypatch.setattr(listing, "BATCH_ROWS", rows)
        assert list_inputs(str(tmp_path)).equals(whole)
    assert whole["bytes"].to_pylist() == [0, 1, 2, 3, 4]
    assert list_inputs(str(tmp_path), limit=1)["bytes"].to_pylist() == [0]


def test_an_input_with_a_credential_is_refused_and_not_repeated() -> None:
    for uri in ("s3://me:hunter2@b/in/", "https://h/list.csv?token=hunter2"):
        with pytest.raises(UsageError, match="never taken from arguments") as refused:
            list_all(uri)
        assert "hunter2" not in str(refused.value)


def test_settings_of_lists_are_refused_by_their_names(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="uri_column is about columns of a list"):
        list_all(str(tmp_path), uri_column="other")
    with pytest.raises(SettingError, match="focus_columns is about columns of a list"):
        list_all(str(tmp_path), focus_columns=("x", "y"), uri_column="other")


def test_rows_of_a_list_are_chosen_by_patterns(tmp_path: Path) -> None:
    path = csv(tmp_path, "uri,user\ns3://b/1.jpg,1\ns3://b/2.png,2\ns3://b/old/3.jpg,3\n")
    found = list_all(path, selection=Selection(include=("*.jpg",), exclude=("old/**",)))
    assert found.table.select(["uri", "user"]).to_pylist() == [{"uri": "s3://b/1.jpg", "user": "1"}]
    assert found.left_out.rows == {"match no --include": 1, "match --exclude": 1}
    assert found.left_out.places == {
        "match no --include": ["s3://b/2.png"], "match --exclude": ["s3://b/old/3.jpg"],
    }  # fmt: skip
    only = list_all(path, selection=Selection(exclude=("*.png",)))
    assert only.table.num_rows == 2
    assert list_all(path).left_out.rows == {}
    texts = csv(tmp_path, "uri\ns3://b/notes.txt\n")
    assert list_all(texts).table.num_rows == 1  # a list means what it names


def test_folders_that_are_hidden_are_not_walked_into(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.jpg").write_bytes(b"x")
    assert list_inputs(str(tmp_path)).num_rows == 0


def test_a_folder_with_characters_of_a_glob_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "in [1]").mkdir()
    (tmp_path / "in [1]" / "a.jpg").write_bytes(b"x")
    (tmp_path / "in 1").mkdir()
    (tmp_path / "in 1" / "b.jpg").write_bytes(b"x")
    listed = list_inputs(str(tmp_path / "in [1]"))["uri"].to_pylist()
    assert listed == [str(tmp_path / "in [1]" / "a.jpg")]


def test_a_glob_that_matches_only_texts_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_bytes(b"x")
    found = list_all(f"{tmp_path}/*.md")
    assert found.table.num_rows == 0
    assert found.left_out.rows == {"are text or data by their names": 1}


def test_a_text_is_taken_where_a_pattern_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"x")
    assert list_all(str(tmp_path), selection=Selection(include=("*.txt",))).table.num_rows == 1
    whole = Selection(include=(f"{tmp_path}/*.txt", "s3://b/*"))
    assert whole.reason(f"{tmp_path}/notes.txt") is None
    assert whole.reason("s3://b/k") is None
    assert whole.reason("s3://b/a/k") == "match no --include"


def test_an_etag_that_a_list_gives_stays(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"123")
    rows = list_inputs(csv(tmp_path, f"uri,etag\n{tmp_path}/x.jpg,mine\n")).to_pylist()
    assert [(row["etag"], row["bytes"]) for row in rows] == [("mine", None)]


def test_a_row_of_a_bucket_is_not_pinned_by_a_local_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s3:" / "b").mkdir(parents=True)
    (tmp_path / "s3:" / "b" / "k").write_bytes(b"123")
    path = csv(tmp_path, 'uri,etag\ns3://b/k,\ns3://b/l,"""abcX"""\n')
    monkeypatch.chdir(tmp_path)
    rows = list_inputs(path).to_pylist()
    assert [(row["etag"], row["bytes"]) for row in rows] == [(None, None), ("abcX", None)]


def test_an_output_of_another_kind_of_store_lies_in_no_input(tmp_path: Path) -> None:
    refuse_overlap("s3://b/in/", "/b/in/out")
    refuse_overlap("memory://b", "s3://b/out")
    with pytest.raises(UsageError, match="lies inside the input"):
        refuse_overlap("memory://b", "memory://b/out")


def test_photos_of_other_stores_are_read() -> None:
    store = open_store("memory://edges/in")
    store.write("a.jpg", b"12345")
    assert read_image("memory://edges/in/a.jpg", max_bytes=5) == b"12345"
    with pytest.raises(ReadError) as failed:
        read_image("memory://edges/in/a.jpg", max_bytes=4)
    assert failed.value.status == "too_large"


def test_a_file_at_its_limit_of_bytes_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert read_image(str(tmp_path / "x"), max_bytes=5) == b"12345"
    with pytest.raises(ReadError) as failed:
        read_image(str(tmp_path / "x"), max_bytes=4)
    assert failed.value.status == "too_large"


def test_what_is_left_out_names_three_places_of_each_reason() -> None:
    left_out = LeftOut()
    assert not left_out
    for number in range(3):
        left_out.row("repeat a uri", f"row {number}")
    assert left_out.message == ("left out of the input: 3 that repeat a uri (row 0, row 1, row 2)")
    left_out.row("repeat a uri", "row 3")
    left_out.row("have no uri", "x" * 300)
    assert "4 that repeat a uri (row 0, row 1, row 2, …)" in left_out.message
    assert left_out.places["have no uri"] == ["x" * 200]
    assert LeftOut(columns={"a": "binary"})


@pytest.mark.parametrize(
    ("uri", "kind"),
    [("a.parquet", ".parquet"), ("a.PQ", ".parquet"), ("a.csv", ".csv"), ("a.csv.gz", ".csv"),
     ("a.jsonl", ".jsonl"), ("a.ndjson.GZ", ".jsonl"), ("a.jpg", None), ("csv", None),
     ("a.csv/b.jpg", None)],
)  # fmt: skip
def test_lists_are_known_by_their_endings(uri: str, kind: str | None) -> None:
    assert table_format(uri) == kind
    assert is_table_file(uri) is (kind is not None)


def test_limits_of_lists() -> None:
    """A list that was taken yesterday is taken tomorrow."""
    assert (MAX_URI_CHARACTERS, MAX_BOXES) == (4096, 1000)
    assert table_files.MAX_LIST_BYTES == 4 * 1024**3
    assert (table_files.MAX_LIST_ROWS, table_files.MAX_TEXT_BYTES) == (50_000_000, 1024**2)
    assert table_files.THRIFT_LIMIT == 64 * 1024**2


def test_a_value_of_a_csv_may_have_more_lines_than_are_read_at_once(tmp_path: Path) -> None:
    long = "line\n" * 400_000  # 2 MB, read in steps of 1 MB
    table = list_inputs(csv(tmp_path, f'uri,"no\nte"\ns3://b/1,"{long}"\ns3://b/2,x\n'))
    assert table["no\nte"].to_pylist() == [long, "x"]


def test_columns_without_a_type_or_a_value_become_texts(tmp_path: Path) -> None:
    columns = {
        "uri": ["s3://b/1"], "none": pa.nulls(1), "text": pa.array([None], pa.string()),
        "view": pa.array(["v"]).cast(pa.string_view()),
    }  # fmt: skip
    pq.write_table(pa.table(columns), tmp_path / "l.parquet")
    table = list_inputs(str(tmp_path / "l.parquet"))
    assert [table.schema.field(n).type for n in ("none", "text", "view")] == [pa.string()] * 3
    assert table["view"].to_pylist() == ["v"]


def test_each_limit_of_a_list_is_its_last_allowed_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = "s3://b/".ljust(MAX_URI_CHARACTERS, "k")
    boxes = json.dumps([[0, 0, 1, 1]] * MAX_BOXES)
    path = csv(tmp_path, f'uri,boxes\n{longest},"{boxes}"\n')
    (row,) = list_inputs(path).to_pylist()
    assert (len(row["uri"]), len(row["boxes"])) == (MAX_URI_CHARACTERS, MAX_BOXES)

    text = "uri\n" + "".join(f"s3://b/{number}\n" for number in range(3))
    monkeypatch.setattr(table_files, "MAX_LIST_ROWS", 3)
    assert list_inputs(csv(tmp_path, text)).num_rows == 3
    monkeypatch.setattr(table_files, "MAX_LIST_ROWS", 2)
    with pytest.raises(UsageError, match="has 3 rows, at most 2: split it"):
        list_inputs(csv(tmp_path, text))
    pq.write_table(pa.table({"uri": ["s3://b/1"] * 3}), tmp_path / "l.parquet")
    with pytest.raises(UsageError, match="the list has 3 rows, at most 2"):
        list_inputs(str(tmp_path / "l.parquet"))
    monkeypatch.setattr(table_files, "MAX_LIST_ROWS", 3)
    assert list_all(str(tmp_path / "l.parquet")).left_out.rows == {"repeat a uri": 2}

    packed = tmp_path / "list.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    monkeypatch.setattr(table_files, "MAX_LIST_BYTES", max(len(text), packed.stat().st_size))
    assert list_inputs(str(packed)).num_rows == 3
    long = "uri\n" + "s3://b/k\n" * 30
    packed.write_bytes(gzip.compress(long.encode()))
    monkeypatch.setattr(table_files, "MAX_LIST_BYTES", len(long) - 1)
    with pytest.raises(UsageError, match=f"has over {len(long) - 1} bytes unpacked; split it"):
        list_inputs(str(packed))
    (tmp_path / "list.csv").write_text(long)
    with pytest.raises(UsageError, match="is too large"):
        list_inputs(str(tmp_path / "list.csv"))
    packed.write_bytes(gzip.compress(text.encode())[:-4])
    with pytest.raises(UsageError, match="is no gzip file"):
        list_inputs(str(packed))


def test_texts_of_a_parquet_list_have_a_longest_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "l.parquet"
    pq.write_table(pa.table({"uri": ["s3://b/1", "s3://b/2", None]}), path)
    monkeypatch.setattr(table_files, "MAX_TEXT_BYTES", 8)
    monkeypatch.setattr(table_files, "MAX_LIST_BYTES", path.stat().st_size)
    assert list_inputs(str(path)).num_rows == 2
    monkeypatch.setattr(table_files, "MAX_TEXT_BYTES", 7)
    with pytest.raises(UsageError, match="a text of the list has more than 7 bytes"):
        list_inputs(str(path))
    texts = pa.array([f"{number:04}" for number in range(9)] * 100)
    pq.write_table(pa.table({"uri": texts}), path, compression="zstd")
    monkeypatch.setattr(table_files, "MAX_LIST_BYTES", 3600)
    assert path.stat().st_size < 3600
    assert list_all(str(path)).left_out.rows == {"repeat a uri": 891}
    monkeypatch.setattr(table_files, "MAX_LIST_BYTES", 3599)
    with pytest.raises(UsageError, match="a column of the list has 3600 bytes of text"):
        list_inputs(str(path))


def test_a_uri_that_was_refused_does_not_hide_the_next(tmp_path: Path) -> None:
    found = list_all(csv(tmp_path, "uri\nhttps://h/?sig=1\nhttps://h/?sig=1\ns3://b/k\n"))
    assert found.left_out.rows == {"carry a credential in their uri": 2}
    assert found.table.num_rows == 1


def test_all_boxes_may_be_null_and_json_lines_may_differ(tmp_path: Path) -> None:
    pq.write_table(pa.table({"uri": ["s3://b/1"], "boxes": pa.nulls(1)}), tmp_path / "l.parquet")
    assert list_inputs(str(tmp_path / "l.parquet"))["boxes"].type == schema.INPUT_BOXES.type
    (tmp_path / "l.jsonl").write_text(
        '{"uri": "s3://b/1", "a": 1, "big": 99999999999999999999, "on": true}\n'
        '{"uri": "s3://b/2", "a": 2.5, "big": 1, "on": null}\n'
    )
    one, two = list_inputs(str(tmp_path / "l.jsonl")).to_pylist()
    assert (one["a"], two["a"]) == (1.0, 2.5)
    assert (one["big"], two["big"]) == ("99999999999999999999", "1")
    assert (one["on"], two["on"]) == (True, None)


HEADER = "uri,ratio,x0,y0,x1,y1,focus_x,focus_y,never_crop,forget\n"


def override_rows(folder: Path, *rows: str) -> list[object]:
    return [*read_override_rows(csv(folder, HEADER + "".join(f"{row}\n" for row in rows)))]


@pytest.mark.parametrize(
    ("row", "right"),
    [
        ("x,1:1,0,0,100,102,,,,", True),  # 2 pixels
        ("x,1:1,0,0,100,103,,,,", False),
        ("x,1:1,0,0,1000,1020,,,,", True),  # 2 % of the ratio: 1000 / 1020 = .9804
        ("x,1:1,0,0,1000,1021,,,,", False),
        ("x,1:1,0,0,1021,1000,,,,", False),
        ("x,16:9,0,0,160,92,,,,", True),  # 3.6 px of the width are 2 of the height
        ("x,16:9,0,0,160,93,,,,", False),
        ("x,9:16,0,0,90,162,,,,", True),
        ("x,16:9,0,0,1600,910,,,,", True),  # 1.1 % of the ratio
        ("x,9:16,0,0,910,1600,,,,", True),
        ("x,free,0,0,7,500,,,,", True),
        ("x,1:1,4,5,5,6,,,,", True),  # one pixel
        ("x,1:1,4,5,4.9,5.9,,,,", False),
        ("x,,,,,,0,1,,", True),
        ("x,,,,,,-0.01,1,,", False),
        ("x,,,,,,inf,1,,", False),
        ("x,,,,,,,, YES ,", True),
        ("x,,,,,,,,,0", True),
        ("x,,,,,,.5,.5,false,", True),
        ("x,1:1,0,0,5,5,,,true,", True),
    ],
)
def test_what_a_row_of_overrides_may_say(tmp_path: Path, row: str, right: bool) -> None:
    if right:
        assert len(override_rows(tmp_path, row)) == 1
        return
    with pytest.raises(SettingError, match="overrides table, row 1, "):
        override_rows(tmp_path, row)


def test_an_empty_text_says_nothing(tmp_path: Path) -> None:
    columns = {"uri": ["a"], "ratio": [""], "focus_x": [""], "never_crop": ["true"], "note": [""]}
    pq.write_table(pa.table(columns | {"focus_y": [""]}), tmp_path / "o.parquet")
    (row,) = read_override_rows(str(tmp_path / "o.parquet"))
    assert (row.ratio, row.focus_rel, row.never_crop) == (None, None, True)


def test_a_table_of_overrides_is_used_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^overrides table can't be used whole; "):
        read_override_rows(csv(tmp_path, "uri,never_crop\nx,true\ny\n"))
    with pytest.raises(SettingError, match="cannot be read: the list names a column twice") as no:
        read_override_rows(csv(tmp_path, "uri,uri\nx,y\n"))
    assert str(no.value).startswith("overrides cannot")
    with pytest.raises(SettingError, match=r"^overrides must name"):
        read_override_rows("x.jpg")
    with pytest.raises(SettingError, match=r"^overrides table has a column 'a'"):
        read_override_rows(csv(tmp_path, "uri,a\nx,y\n"))
    with pytest.raises(SettingError, match=r"^overrides table needs"):
        read_override_rows(csv(tmp_path, "forget\ntrue\n"))


def test_only_patterns_that_forget_may_match_what_no_list_has(tmp_path: Path) -> None:
    def forgets(*rows: str) -> bool:
        return Overrides.read(csv(tmp_path, HEADER + "\n".join(rows) + "\n")).has_forget_patterns

    assert forgets("s3://b/*,,,,,,,,,true")
    assert not forgets("s3://b/*,,,,,,,,true,", "s3://b/1,,,,,,,,,true")
    assert not forgets("s3://b/*,,,,,,,,true,false")


def test_the_decision_on_a_photo_that_no_row_names_stays_pinned() -> None:
    inputs = pa.table({"uri": ["a", "b"], "override": ['{"name": "", "focus": [0.1, 0.2]}', None]})
    assert Overrides().obeyed(inputs).inputs.equals(inputs)
    assert Overrides().forgotten_among(pa.array(["a"])) == []
    assert Overrides.read("") == Overrides()
    assert Overrides().obeyed(inputs).count == 0


def test_the_time_that_an_answer_may_take_by_default() -> None:
    policy = HttpPolicy(frozenset({"h"}))
    assert (policy.timeout_s, policy.total_s) == (15, 60)
    assert repr(policy) == "HttpPolicy(hosts=frozenset({'h'}), timeout_s=15.0, total_s=60.0)"
