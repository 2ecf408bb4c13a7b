"""The gain from listing with several threads: made-up keys from a server that delays its answers.

Each row lists all keys, first page by page and then by ranges, each time in a fresh process. Both
read every key with Python, so with a delay of a few ms they take the same CPU and time.
"""

import argparse

from pipeline.storage import ranges
from pipeline.storage.store import open_store
from tests.bench.bench_ledger import listing_server, step

PREFIX = "2026/11/21/"


def list_keys(threads: int) -> str:
    store = open_store("s3://b")
    ranges.THREADS = threads
    found = ranges.list_by_ranges(store, PREFIX) if threads else store.list(PREFIX)
    return f"{sum(1 for _ in found):,} keys, {store.requests['list']:,} requests"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=200_000)
    parser.add_argument("--delays-ms", type=float, nargs="+", default=[0, 30, 100])
    parser.add_argument("--threads", type=int, nargs="+", default=[0, 16], help="0: page by page")
    arguments = parser.parse_args()
    print(f"{'threads':>7}{'ms an answer':>14}{'wall s':>9}{'CPU s':>8}{'peak MiB':>10}  what")
    for delay_ms in arguments.delays_ms:
        with listing_server(arguments.keys, delay_ms / 1000):
            for threads in arguments.threads:
                row = step("list", arguments.keys, list_keys, threads)
                print(
                    f"{threads:>7}{delay_ms:>14g}{row['wall_s']:>9.1f}{row['cpu_s']:>8.1f}"
                    f"{row['peak_mib']:>10,}  {row['note']}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
