"""Reading photos from S3: CPU time of a GET by the product's store, obstore, pyarrow and boto3.

Objects with the sizes of uploads on an embedded S3 server; only the client process is measured, all
threads. Four threads read in parallel, as in the product. Each figure is the median over rounds in
which the ways take turns. Ways whose package is not installed are left out.

    python -m tests.bench.bench_reading [--json FILE]
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import boto3
import numpy as np

from pipeline.cli.local_services import S3Server, s3_server
from pipeline.storage.store import open_store
from tests.bench.bench_decode import Row, show

SIZES = {"30 kB": 30_000, "300 kB": 300_000, "5 MB": 5_000_000}
OBJECTS = {"30 kB": 40, "300 kB": 40, "5 MB": 12}
BUCKET, THREADS, ROUNDS = "photos", 4, 5
Read = Callable[[str], bytes]


def by_store() -> Read:
    store = open_store(f"s3://{BUCKET}")
    return lambda key: store.read(key)


def by_obstore(server: S3Server) -> Read:
    from obstore.store import S3Store

    store = S3Store(
        BUCKET,
        endpoint=server.endpoint_url,
        client_options={"allow_http": True},
        access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
        region="us-east-1",
    )
    return lambda key: bytes(store.get(key).bytes())


def by_pyarrow(server: S3Server) -> Read:
    from pyarrow.fs import S3FileSystem

    store = S3FileSystem(
        endpoint_override=server.endpoint_url.removeprefix("http://"),
        scheme="http",
        access_key=server.environment["AWS_ACCESS_KEY_ID"],
        secret_key=server.environment["AWS_SECRET_ACCESS_KEY"],
        region="us-east-1",
    )

    def read(key: str) -> bytes:
        with store.open_input_file(f"{BUCKET}/{key}") as file:
            return bytes(file.read())

    return read


def by_boto3(server: S3Server) -> Read:
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    return lambda key: bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())


def ways(server: S3Server) -> dict[str, Read]:
    found = {"s3fs's session (used)": by_store()}
    if find_spec("obstore"):
        found["obstore"] = by_obstore(server)
    found["pyarrow"] = by_pyarrow(server)
    found["boto3"] = by_boto3(server)
    return found


def measure(server: S3Server) -> list[Row]:
    store, rng = open_store(f"s3://{BUCKET}"), np.random.default_rng(1)
    for size, count in SIZES.items():
        for number in range(OBJECTS[size]):
            store.write(f"{count}/{number}.jpeg", rng.bytes(count))
    readers = ways(server)
    times: dict[str, dict[str, list[float]]] = {
        name: {size: [] for size in SIZES} for name in readers
    }
    with ThreadPoolExecutor(THREADS) as pool:
        for turn in range(ROUNDS + 1):
            for name, read in readers.items():
                for size, count in SIZES.items():
                    keys = [f"{count}/{number}.jpeg" for number in range(OBJECTS[size])]
                    start = time.process_time()
                    lengths = set(map(len, pool.map(read, keys)))
                    cost = (time.process_time() - start) / len(keys)
                    assert lengths == {count}, f"{name} read {lengths}"
                    if turn:  # the first round also opens connections
                        times[name][size].append(1000 * cost)
    rows = []
    for name in readers:
        figures = {f"{size}, CPU ms": median(times[name][size]) for size in SIZES}
        rows.append({"way": name, **figures})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="file for the same figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, s3_server(Path(folder)) as server:
        os.environ.update(server.environment)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        rows = measure(server)
    show(f"CPU time of a GET, {THREADS} threads", rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
