"""Evaluate on Ray, for data sets that take one process hours."""

import contextlib
import json
import logging
import os
import pickle
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray.data
import torch

from pipeline.cluster.growing import start_ray
from pipeline.errors import SettingError
from pipeline.lab.datasets import Example
from pipeline.lab.evaluation.photo import Row
from pipeline.lab.evaluation.setup import EvaluationSetup, Evaluators
from pipeline.report.progress import Log
from pipeline.settings import RunningSettings
from pipeline.stop import Stop

PHOTOS_PER_CALL = 8


class EvaluateBlock:
    """An actor that loads the setup once, then evaluates photos into rows."""

    def __init__(self, setup: EvaluationSetup, device: str, working_folder: Path) -> None:
        """Load the setup. working_folder: what relative paths refer to."""
        with contextlib.suppress(FileNotFoundError):  # on another machine; absolute paths work
            os.chdir(working_folder)  # a cluster's workers start in a folder of its own
        torch.set_num_threads(1)  # the actors share the cores
        self.evaluators = Evaluators(setup, device)

    def __call__(self, block: dict[str, Any]) -> dict[str, list[str]]:
        examples = [pickle.loads(data) for data in block["example"]]
        rows = map(self.evaluators.evaluate, examples)
        return {"row": [json.dumps(row) for row in rows]}


def block_count(photos: int) -> int:
    """Return the number of blocks that this many photos are divided into."""
    return max(1, photos // PHOTOS_PER_CALL)


def evaluate_on_ray(
    examples: Sequence[Example], setup: EvaluationSetup, device: str, log: Log
) -> Iterator[Row]:
    """Yield one row a photo, in completion order. All workers must be able to read the photos.

    device: `auto`, `cpu` or `cuda`; each worker on a GPU has one of its own.

    A photo that fails is a row; any other exception in a worker ends the evaluation. Raises
    SettingError where the cluster has no GPU for `cuda`, and what `start_ray` raises.
    """
    blocks = block_count(len(examples))  # more workers would have nothing to do
    settings = RunningSettings(gpus_per_actor=0.0 if device == "cpu" else 1.0)
    shares = start_ray(settings, blocks, log, Stop()).shares
    if device == "cuda" and shares.device != "cuda":
        raise SettingError("device", "is cuda, and the cluster has no GPU: use cpu, or auto")
    log.say("workers", shares.why)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # the job reports failures
    context = ray.data.DataContext.get_current()
    context.target_max_block_size, context.enable_progress_bars = None, False
    items = ray.data.from_items([{"example": pickle.dumps(example)} for example in examples])
    rows = items.repartition(blocks).map_batches(
        EvaluateBlock,
        fn_constructor_args=[setup, shares.device, Path.cwd()],
        batch_size=PHOTOS_PER_CALL,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=shares.actors),
        num_cpus=shares.actor_cpus,
        num_gpus=shares.actor_gpus,
    )
    for item in rows.iter_rows():
        row: Row = json.loads(item["row"])
        yield row
