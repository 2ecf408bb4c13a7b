r"""Measure how well the crops agree with people's on a data set, and report it with baselines.

    python jobs/evaluate.py --dataset gaicv1 --data GAICv1/ --output report/
    python jobs/evaluate.py --dataset flms --data FLMS/ --output report/ --detector embedded
    ray job submit --working-dir . -- python jobs/evaluate.py --dataset gaicv2 --data /mnt/GAICv2 \
        --output /mnt/report --ray

Writes report.html (self-contained) and evaluation.json into --output. Data sets and their folders
are described in pipeline/lab/datasets, labels of your own in docs/GUIDE.md. Exit codes: 0 done;
1 failed; 2 wrong usage; 3 done, but a larger share of the photos than --max-error-rate could not
be judged.
"""

import sys
from collections.abc import Sequence

from pipeline.command_line import run
from pipeline.lab.evaluation.settings import EvaluationJob
from pipeline.report.progress import Log

OVER_ERROR_RATE = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    return run(EvaluationJob, __doc__, evaluate, arguments)


def evaluate(job: EvaluationJob) -> int:
    """Evaluate and write the report; return the exit code. Raises UsageError."""
    # This import loads torch, which --help and usage errors do not need.
    from pipeline.lab.evaluation.job import evaluate_dataset
    from pipeline.lab.weight_files import as_usage_error

    log = Log(job.log_format)
    with as_usage_error():
        failed_share = evaluate_dataset(job, log)
    if failed_share <= job.max_error_rate:
        return 0
    failed, allowed = (f"{100 * share:.3g} %" for share in (failed_share, job.max_error_rate))
    log.say(
        "over_error_rate",
        f"exit code {OVER_ERROR_RATE}: {failed} of the photos could not be judged, more than the "
        f"{allowed} of --max-error-rate",
    )
    return OVER_ERROR_RATE


if __name__ == "__main__":
    sys.exit(main())
