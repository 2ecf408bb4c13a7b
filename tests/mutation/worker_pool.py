"""Several workers at once, each with a copy of the project, a fork server and an S3 server."""

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from pipeline.cli.local_services import s3_server
from tests.mutation.judge import Trace, Worker
from tests.mutation.rooms import Room

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def one_worker() -> Iterator[Worker]:
    """Start a worker whose tests share one S3 server."""
    with tempfile.TemporaryDirectory(prefix="mutants") as folder, s3_server(Path(folder)) as server:
        environment = {**os.environ, "TEST_S3_SERVER": server.endpoint_url, "OMP_NUM_THREADS": "1"}
        with Worker(Path(folder), environment) as started:
            yield started


class WorkerPool:
    """Workers that share the work: the next free one takes the next item."""

    def __init__(self, workers: Iterable[Worker]) -> None:
        self.workers = [*workers]
        self.folder = self.workers[0].folder  # one of the copies, which are identical

    def share(
        self,
        items: Iterable[Item],
        do: Callable[[Worker, Item], Result],
        end: float = float("inf"),
    ) -> Iterator[Result]:
        """Let the next free worker do each item; yields results as they come.

        Items that were not started by `end`, in time.monotonic's seconds, are left out.
        """
        free: SimpleQueue[Worker] = SimpleQueue()
        for worker in self.workers:
            free.put(worker)

        def done(item: Item) -> list[Result]:
            worker = free.get()
            try:
                return [do(worker, item)] if time.monotonic() < end else []
            finally:
                free.put(worker)

        with ThreadPoolExecutor(len(self.workers)) as threads:
            for future in as_completed([threads.submit(done, item) for item in items]):
                yield from future.result()

    def trace(self, room: Room, kept: Path) -> Trace:
        """Trace what the tests of a room run; reuses an earlier trace if nothing changed."""
        found = Trace()
        kept.mkdir(parents=True, exist_ok=True)
        files = [path.relative_to(self.folder).as_posix() for path in room.test_files(self.folder)]
        for stored in self.share(files, lambda worker, file: worker.trace(room, file, kept)):
            found.add(stored)
        for test in sorted(found.failed):
            print(f"fails without any mutant: {test}", flush=True)
        return found


@contextmanager
def worker_pool(jobs: int) -> Iterator[WorkerPool]:
    """Start `jobs` workers, and stop them when the block ends."""
    with ExitStack() as held:
        yield WorkerPool([held.enter_context(one_worker()) for _ in range(jobs)])
