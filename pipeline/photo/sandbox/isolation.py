"""Sandbox a process before it reads untrusted bytes.

A crafted photo may run code in the process that decodes it. After `enter_sandbox` that code can
read its standard input, write its answer and use memory, and nothing else: it opens no file,
reaches no network, starts no program and no other process, deletes nothing, sends no signal, and
can read neither its parent's memory nor its environment. The kernel enforces all of this:

    own user      if the process is root it becomes `nobody`, without groups and capabilities
    not dumpable  other processes of the user can't attach to it or read its memory; if the filter
                  is missing and the child has the same user, its parent becomes undumpable too
    system calls  a seccomp filter allows those in ALLOWED, and threads; any other gives EPERM.
                  Loading it sets no_new_privs

The last line needs Linux on x86-64 or AArch64 (package `seccompy`, no compiler, no privilege).
If a machine lacks one of these, `enter_sandbox` names it and raises no error; limits on memory,
time and files apply everywhere. Threads are allowed since libde265 decodes HEIC in one, so
RLIMIT_NPROC, which counts them too, can't be 0; the filter prevents new processes instead.
"""

import ctypes
import errno
import os
import sys
from contextlib import suppress

NOBODY = 65534
FILTER = "a filter of system calls"  # as `enter_sandbox` names it
CLONE_THREAD = 0x10000  # clone(2)
PR_SET_DUMPABLE = 4  # prctl(2)

# The calls that decoding needs once everything is imported. They can only use the descriptors that
# the process has already, since nothing can be opened any more. `write` is for the answer, `lseek`
# and `fstat` for Python's streams.
ALLOWED = (
    *("read", "readv", "write", "writev", "lseek", "fstat", "close"),
    *("mmap", "munmap", "mremap", "mprotect", "madvise", "brk"),
    *("clock_gettime", "clock_getres", "gettimeofday", "getrusage", "times", "getrandom"),
    *("nanosleep", "clock_nanosleep", "sched_yield", "sched_getaffinity", "futex", "rseq"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
    *("getpid", "gettid", "exit", "exit_group", "setitimer", "set_robust_list"),
)
X86_64_ONLY = ("time", "getrlimit", "setrlimit")  # AArch64 does not have them all


def enter_sandbox() -> list[str]:
    """Sandbox this process irrevocably; return the names of the protections that are missing.

    Call it once everything that decoding needs is imported.
    """
    missing = []
    problem = filter_problem()  # imports its package, which `nobody` may not be allowed to read
    if os.geteuid() == 0 and not _become_nobody():
        missing.append("an own user (this one can't be left)")
    if not make_undumpable():
        missing.append("protection of its memory (no prctl)")
    if problem:
        missing.append(f"{FILTER} ({problem})")
    else:
        try:
            _load_filter()
        except OSError as error:
            missing.append(f"{FILTER} ({error.strerror})")
    return missing


def make_undumpable() -> bool:
    """Keep other processes of this user from reading this one's memory and environment.

    Returns whether the machine supports it. Debuggers and core dumps need root afterwards.
    """
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)


def filter_problem() -> str | None:
    """Return why this machine can't filter system calls; None if it can."""
    if sys.platform != "linux":
        return f"{sys.platform} has none"
    import seccompy

    try:
        return None if seccompy.supported() else "this kernel has none"
    except OSError as error:  # of `seccompy`
        return str(error)


def _become_nobody() -> bool:
    """Become a user without privileges; return False if the system does not allow it."""
    if not hasattr(os, "setresuid"):  # macOS
        return False
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        return False
    return True


def _load_filter() -> None:
    """Load the filter. Raises OSError."""
    import seccompy

    allowed = seccompy.Filter(default=seccompy.Action.ERRNO | errno.EPERM)
    for name in ALLOWED:
        allowed.allow(name)
    for name in X86_64_ONLY:
        with suppress(ValueError):  # this machine has no such call
            allowed.allow(name)
    thread = seccompy.ArgCmp(0, seccompy.CmpOp.MASKED_EQ, CLONE_THREAD, CLONE_THREAD)
    allowed.allow("clone", args=[thread])
    allowed.errno("clone3", errno.ENOSYS)  # its flags can't be seen; the C library takes `clone`
    # The limit on CPU seconds is set for each photo: on this process (0), never on another.
    allowed.allow("prlimit64", args={0: 0})
    allowed.load()
