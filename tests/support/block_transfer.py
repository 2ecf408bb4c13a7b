"""Run a job in this process, passing blocks between stages as Ray does: in read-only memory."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from pipeline.job import commit, plan
from pipeline.ledger.figures import add_figures
from pipeline.ledger.records import Manifest
from pipeline.report.progress import Log
from pipeline.settings import Settings
from pipeline.stages.commit import cut_encode_commit
from pipeline.stages.crop import DetectScore
from pipeline.stages.read import read_decode
from pipeline.stages.wire import LEAST_BUFFER, unpack, unpack_summaries
from tests.support.odd_photos import scene

torch.set_num_threads(1)
EDGES = ["x0", "y0", "x1", "y1"]


def run_with_transfers(settings: Settings) -> Manifest:
    """Run a job as `pipeline.run` does, one task after another, in this process."""
    log = Log("json", io.StringIO())
    job, ledger = plan(settings, log).begin()
    figures = []
    score = DetectScore(job, "cpu")
    for task in ledger.pending():
        decoded = transferred(read_decode(pa.table({"task": [task]}), job))
        (done,) = unpack_summaries(cut_encode_commit(transferred(score(decoded)), job))
        figures.append(ledger.record(done.task).metrics)
    commit(job, ledger, log, add_figures(figures), {})
    manifest = ledger.manifest
    assert manifest is not None
    return manifest


def transferred(block: pa.Table) -> pa.Table:
    """Copy a block as the next process gets it from Ray: in read-only memory."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, block.schema) as writer:
        writer.write_table(block)
    found = pa.ipc.open_stream(pa.py_buffer(sink.getvalue().to_pybytes())).read_all()
    pixels = [row.photo.pixels for row in unpack(found).rows if row.photo]
    assert not any(one.flags.writeable for one in pixels if one.nbytes >= LEAST_BUFFER)
    return found


def write_scenes(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(np.roll(scene(120 + 20 * number, 100), 9 * number, axis=1)).save(
            folder / f"{number}.jpg"
        )
