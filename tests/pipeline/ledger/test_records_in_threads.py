"""Many threads may read a kind of record for the first time at once: the driver uses 32."""

import subprocess
import sys

FIRST_USE = """
import sys, threading
from pipeline.ledger.records import TaskRecord, typed
sys.setswitchinterval(1e-6)
document = dict(format=1, task=0, attempt="a", images=1, files=[], unsettled=[], metrics={})
together, read = threading.Barrier(16), []
def go():
    together.wait()
    read.append(typed(document, "k", TaskRecord).attempt)
threads = [threading.Thread(target=go) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("".join(read))
"""


def test_the_first_use_of_a_kind_is_safe() -> None:
    for _ in range(3):
        run = subprocess.run(
            [sys.executable, "-c", FIRST_USE], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout.strip()) == (0, "a" * 16), run.stderr
