r"""Train S2CNet, or the GAIC baseline, on photos with scored crops.

    python jobs/train.py --data GAICv1/ --output runs/s2cnet
    python jobs/train.py --data UGCrop5K/ --output runs/ours --start starter --epochs 20
    ray job submit --working-dir . -- python jobs/train.py --data /mnt/GAICv2 \
        --output /mnt/runs/s2cnet --workers 4 --gpu

--data has the GAIC layout: images/<split>/, annotations/, optionally bbox/ (pipeline/lab/datasets).
Writes best.safetensors with its card (best.json, best.md), curves.png, epochs.json and last.pt into
--output; called again with the same settings it goes on from last.pt. The epoch is chosen on photos
held out of the training split (or on the split `val`), never on the test split, which is measured
once at the end. Exit codes: 0 done; 1 failed; 2 wrong usage.
"""

import sys
from collections.abc import Sequence

from pipeline.command_line import run
from pipeline.errors import UsageError
from pipeline.lab.training.settings import TrainJob
from pipeline.report.progress import Log


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run(TrainJob, __doc__, train, arguments)


def train(job: TrainJob) -> int:
    """Read the data, train, say where the weights are. Raises UsageError."""
    from pipeline.lab.training.job import train_folder  # loads torch: not for --help or a typo
    from s2cnet import WeightsError

    log = Log()
    try:
        train_folder(job, log)
    except WeightsError as error:
        raise UsageError(str(error)) from error
    log.say("done", f"weights and card: {job.output / 'best.safetensors'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
