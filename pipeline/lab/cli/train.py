r"""Train S2CNet, or the GAIC baseline, on photos with scored crops.

    python jobs/train.py --data GAICv1/ --output runs/s2cnet
    python jobs/train.py --data UGCrop5K/ --output runs/ours --start starter --epochs 20
    ray job submit --working-dir . -- python jobs/train.py --data /mnt/GAICv2 \
        --output /mnt/runs/s2cnet --workers 4 --gpu

--data has the GAIC layout: images/<split>/, annotations/, optionally bbox/ (pipeline/lab/datasets).
Writes best.safetensors with its card (best.json, best.md), curves.png, epochs.json and last.pt into
--output. Called again with the same settings and photos, it resumes from last.pt; Ctrl-C and
SIGTERM save every completed step there (with --workers only whole epochs). The epoch is chosen on
photos held out of the training split (or on the split `val`), never on the test split, which is
measured at the end. Exit codes: 0 done; 1 failed; 2 wrong usage; 130/143 stopped by Ctrl-C or
SIGTERM.
"""

import signal
import sys
from collections.abc import Sequence
from types import FrameType

from pipeline.command_line import run
from pipeline.lab.training.settings import TrainJob
from pipeline.report.progress import Log
from pipeline.stop import Drained, Stop


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    return run(TrainJob, __doc__, train, arguments)


def train(job: TrainJob) -> int:
    """Read the data, train, report where the weights are. Raises UsageError."""
    from pipeline.lab.training.job import train_folder  # slow: loads torch
    from pipeline.lab.weight_files import as_usage_error

    log, stop = Log(), Stop()
    received: list[int] = []

    def ask(signum: int, _: FrameType | None) -> None:
        if received:
            sys.exit(128 + signum)
        received.append(signum)
        stop.asked = True
        log.say("stopping", "stopping after this step; once more ends at once, without saving")

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if not job.workers:  # Ray Train's processes save only whole epochs
            for number in before:
                signal.signal(number, ask)
        with as_usage_error():
            train_folder(job, log, stop)
    except Drained:
        saved = job.output / "last.pt"
        begin = f"goes on from here: {saved}" if saved.exists() else "starts again"
        log.say("stopped", f"stopped; the same command {begin}")
        return 128 + (received[0] if received else signal.SIGTERM)  # which stops a start of Ray
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    log.say("done", f"weights and card: {job.output / 'best.safetensors'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
