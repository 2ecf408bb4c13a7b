"""Attacks from inside the decoding child: a crafted photo may run any code."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import DecodeError
from pipeline.photo.limits import DecodeLimits
from pipeline.photo.sandbox import isolation
from pipeline.photo.sandbox.answers import photo_from, plain_text
from pipeline.photo.sandbox.child import ANSWER, READY, REQUEST, STATUSES, child_argument
from pipeline.photo.sandbox.decoder import Decoder, _environment
from pipeline.photo.sandbox.pipes import DiedError

ROOT = Path(__file__).resolve().parents[4]
needs_filter = pytest.mark.skipif(
    isolation.filter_problem() is not None, reason=f"no filter here: {isolation.filter_problem()}"
)

# Each is tried in the child in place of decoding. It returns normally where it succeeds.
ATTACKS = {
    "read a file": "open('/etc/passwd').read()",
    "list a folder": "os.listdir('/')",
    "write a file": "open(os.path.join(FOLDER, 'written'), 'w')",
    "delete a file": "os.unlink(os.path.join(FOLDER, 'victim'))",
    "rename a file": "os.rename(os.path.join(FOLDER, 'victim'), os.path.join(FOLDER, 'gone'))",
    "read the parent's environment": "open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "read the parent's memory": "open(f'/proc/{os.getppid()}/mem', 'rb')",
    "read another process's memory": "call('process_vm_readv', os.getppid(), 0, 0, 0, 0, 0)",
    "trace its parent": "call('ptrace', 16, os.getppid(), 0, 0)",  # PTRACE_ATTACH
    "start a program": "os.execv('/bin/true', ['true'])",
    "start a process": "os.fork() or os._exit(0)",
    "start a process by another name": "call('clone', 17, 0, 0, 0, 0)",
    "start a process in a new way": "call('clone3', 0, 0)",
    "connect out": "socket.create_connection(('127.0.0.1', PORT), 5)",
    "listen": "socket.socket().bind(('127.0.0.1', 0))",
    "use a Unix socket": "socket.socket(socket.AF_UNIX)",
    "send a signal": "os.kill(os.getppid(), 0)",
    "lift the parent's limits": "call('prlimit64', os.getppid(), 7, 0, 0)",
    "lift the parent's limit of CPU seconds": "call('prlimit64', os.getppid(), 0, 0, 0)",
    "become root again": "os.setuid(0)",
    "make a namespace": "call('unshare', 0x10000000)",  # CLONE_NEWUSER
    "watch files": "call('inotify_init1', 0)",
    "load a filter of its own": "call('seccomp', 1, 0, 0)",
}

PROGRAM = """
import ctypes, os, socket
from pipeline.photo.sandbox import child
from seccompy import syscall_nr
FOLDER, PORT, ATTACK, SANDBOXED = {folder!r}, {port}, {attack!r}, {sandboxed}

def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(syscall_nr(name), *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

code = compile(ATTACK, "attack", "eval")
ctypes.CDLL(None)
"x".encode("idna")  # imported before the sandbox is entered, like all that an attack needs

def answer(data, limits, view_side, every_frame, colour):
    try:
        eval(code)
    except Exception as error:
        return {{"status": "corrupt", "message": f"{{type(error).__name__}}: {{error}}"}}, b""
    return {{"status": "corrupt", "message": "it worked"}}, b""

child.answer = answer
if not SANDBOXED:
    child.enter_sandbox = lambda: []
    child.confine = lambda limits: []
child.main()
"""


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def attack(name: str, folder: Path, port: int, sandboxed: bool) -> str:
    """What the attack says: "it worked", or the error that it met."""
    (folder / "victim").write_text("still here")
    folder.chmod(0o777)
    program = PROGRAM.format(
        folder=str(folder), port=port, attack=ATTACKS[name], sandboxed=sandboxed
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, child_argument(DecodeLimits())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
        env=_environment(), start_new_session=True,
    )  # fmt: skip
    out, errors = child.communicate(REQUEST.pack(7, 1, 1024, False) + b"x", timeout=60)
    mark, size = READY.unpack_from(out)
    assert (mark, size) == (b"r", 0), (out, errors)
    if len(out) == READY.size:
        return "it worked"  # another program took its place, and its output is no answer
    _, length, _ = ANSWER.unpack_from(out, READY.size)
    answer = out[READY.size + ANSWER.size :][:length]
    return str(json.loads(answer)["message"])


@needs_filter
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_from_inside_the_child_gets_nowhere(name: str, tmp_path: Path, port: int) -> None:
    said = attack(name, tmp_path, port, sandboxed=True)
    assert said != "it worked"
    assert said.startswith(("PermissionError", "OSError: [Errno 1]", "OSError: [Errno 38]"))
    assert (tmp_path / "victim").read_text() == "still here"
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]


@pytest.mark.parametrize(
    "name", ["read a file", "delete a file", "connect out", "start a process", "send a signal"]
)
def test_without_the_wall_the_same_attacks_work(name: str, tmp_path: Path, port: int) -> None:
    assert attack(name, tmp_path, port, sandboxed=False) == "it worked"


@needs_filter
def test_the_child_is_another_user_without_new_privileges() -> None:
    with Decoder() as decoder:
        decoder.start()
        assert decoder.missing_protections == ""
        assert decoder._child is not None
        lines = Path(f"/proc/{decoder._child.pid}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert int(status["CapEff"], 16) == 0
    if os.geteuid() == 0:
        assert status["Uid"].split() == [str(isolation.NOBODY)] * 4


def test_what_a_machine_lacks_is_said() -> None:
    """In a process of its own: it can't be undone."""
    program = (
        "import sys; from pipeline.photo.sandbox import isolation\n"
        "isolation.filter_problem = lambda: 'this kernel has none'\n"
        "print(isolation.enter_sandbox())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "['a filter of system calls (this kernel has none)']\n"


def test_an_answer_with_a_status_of_its_own_is_no_answer() -> None:
    for status in ("fine", "OK", "", None, 3, "throttled", "corrupt\x1b[2J"):
        with pytest.raises(DiedError):
            photo_from(DecodeLimits(), {"status": status, "message": "x"}, bytearray())
    with pytest.raises(DecodeError) as failed:
        photo_from(
            DecodeLimits(),
            {"status": "corrupt", "message": "a\x1b[31mb\u202ec\n" + "d" * 999},
            bytearray(),
        )
    assert failed.value.status == "corrupt"
    assert failed.value.message.startswith("a?[31mb?c?ddd")
    assert len(failed.value.message) == 200
    assert plain_text("grüne Äpfel 🙂") == "grüne Äpfel 🙂"


def test_every_status_of_the_decoding_files_is_listed() -> None:
    files = (ROOT / "pipeline" / "photo").rglob("*.py")
    sources = "".join(
        file.read_text() for file in files if file.name not in ("decoder.py", "answers.py")
    )
    told = set(re.findall(r'DecodeError\("([a-z_]+)"', sources))
    assert "too_many_pixels" in told
    assert told | {"ok", "truncated", "corrupt"} == STATUSES


READS_PARENT = """
import ctypes, os
from pipeline.photo.sandbox import isolation
if os.geteuid() == 0:  # whom nothing stops
    os.setgroups([])
    os.setresgid(isolation.NOBODY, isolation.NOBODY, isolation.NOBODY)
    os.setresuid(isolation.NOBODY, isolation.NOBODY, isolation.NOBODY)
    ctypes.CDLL(None).prctl(isolation.PR_SET_DUMPABLE, 1, 0, 0, 0)  # as a process of that user is
if {undumpable}:
    assert isolation.make_undumpable()
if os.fork() == 0:
    try:
        open(f"/proc/{{os.getppid()}}/{name}", "rb").read(1)
        print("it worked", flush=True)
    except OSError as error:
        print(type(error).__name__, flush=True)
    os._exit(0)
os.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and prctl are Linux's")
@pytest.mark.parametrize(
    ("undumpable", "name", "said"),
    [
        (False, "environ", "it worked\n"),
        (True, "environ", "PermissionError\n"),
        (True, "mem", "PermissionError\n"),
    ],
)
def test_a_child_of_the_same_user_reads_a_parent_unless_it_is_undumpable(
    undumpable: bool, name: str, said: str
) -> None:
    program = READS_PARENT.format(undumpable=undumpable, name=name)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == said, done.stderr


@pytest.mark.parametrize(
    ("lacking", "user", "made"),
    [
        ("", 1000, False),
        ("a filter of system calls (this kernel has none)", 1000, True),
        ("a filter of system calls (this kernel has none)", 0, False),
        ("an own user (this one can't be left)", 1000, False),
    ],
)
def test_a_parent_without_the_filter_makes_itself_undumpable(
    lacking: str, user: int, made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    monkeypatch.setattr("pipeline.photo.sandbox.decoder.make_undumpable", lambda: calls.append(1))
    monkeypatch.setattr("os.geteuid", lambda: user)
    child = subprocess.Popen(["sleep", "60"])
    monkeypatch.setattr("pipeline.photo.sandbox.decoder._start", lambda argument: (child, lacking))
    with Decoder() as decoder:
        decoder.start()
    assert bool(calls) == made
