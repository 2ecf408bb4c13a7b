"""Run Python source in a fresh process and report which packages it loaded."""

import json
import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Hides packages as if they were not installed: imports raise ModuleNotFoundError, and
# `importlib.util.find_spec`, with which libraries look for optional packages, returns None.
_HIDE = """
import sys
from importlib.machinery import PathFinder

HIDDEN = frozenset({hidden!r})

class WithoutHidden(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            return None
        return super().find_spec(name, path, target)

sys.meta_path[:] = [WithoutHidden if f is PathFinder else f for f in sys.meta_path]
"""
_PRINT_MODULES = """
import json, sys
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def packages_loaded(
    source: str, arguments: Sequence[str] = (), hidden: Collection[str] = ()
) -> set[str]:
    """Return the top-level names of all modules that a fresh process loads by running `source`.

    arguments: its sys.argv[1:]. hidden: top-level packages that it must not find.
    Raises AssertionError with the process's standard error if `source` fails.
    """
    program = _HIDE.format(hidden=sorted(hidden)) + source + _PRINT_MODULES
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))
