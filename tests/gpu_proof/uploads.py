"""`python -m tests.gpu_proof.uploads FOLDER COUNT`: photos as people upload them, on all cores."""

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from tests.bench.uploads import write_upload


def main(folder: Path, count: int) -> None:
    """Write the photos."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(partial(write_upload, folder), range(count)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
