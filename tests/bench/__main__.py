"""Run the benchmarks one after another: `python -m tests.bench [NAME ...] [--out FOLDER]`.

Every `bench_<name>.py` next to this file is a separate program: it prints a table whose rows have
speed as a ratio within the same run, together with quality, and writes the same to
FOLDER/<name>.json. Each runs in a fresh process, so that one cannot warm up or starve the next.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    names = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", default=[], help=f"which; default all: {names}")
    parser.add_argument("--out", type=Path, default=Path("bench-output"), help="folder of the JSON")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(names)
    if unknown:
        parser.error(f"no benchmark called {', '.join(sorted(unknown))}; there are {names}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    # numpy's products are small: several threads cost CPU time and gain nothing. Ray's workers have
    # one thread as well. torch uses as many threads as the benchmark sets.
    environment = {"OPENBLAS_NUM_THREADS": "1", **os.environ}
    failed = []
    for name in arguments.names or names:
        print(f"\n== {name} ({os.cpu_count()} cores)", flush=True)
        output = arguments.out / f"{name}.json"
        command = [sys.executable, "-m", f"tests.bench.bench_{name}", "--json", str(output)]
        done = subprocess.run(command, cwd=HERE.parents[1], env=environment, check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
