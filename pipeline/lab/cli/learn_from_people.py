r"""Teach the embedded detector and the rule of choice from people's labels, in two steps.

    python jobs/learn_from_people.py branches --osie OSIE/ --eyecrowd EyeCrowd/ \
        --flms FLMS/ --photos photos/ --output made/
    python jobs/learn_from_people.py rule --osie OSIE/ --eyecrowd EyeCrowd/ \
        --flms FLMS/ --detectors made/ --output choice.json

`branches` trains the branches for gaze, crops and heads: subjects.safetensors on all photos, and
fold0.safetensors to fold4.safetensors, each without a fifth of the labelled ones. `rule` fits the
rule of choice on maps of photos that the fold's branches were not trained on. The folders are as
their authors publish them (pipeline/lab/datasets/gaze.py and human.py).

Exit codes: 0 done; 1 failed; 2 wrong usage.
"""

import sys
from collections.abc import Sequence

from pipeline.command_line import run
from pipeline.lab.people.settings import BranchesJob, RuleJob
from pipeline.report.progress import Log


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    return run({"branches": BranchesJob, "rule": RuleJob}, __doc__, learn, arguments)


def learn(job: BranchesJob | RuleJob) -> int:
    """Do one of the two steps. Raises UsageError."""
    # They load torch: not for --help or a typo.
    from pipeline.lab.people.recipe import fit_rule, write_branches

    if isinstance(job, BranchesJob):
        write_branches(job, Log())
    else:
        fit_rule(job, Log())
    return 0


if __name__ == "__main__":
    sys.exit(main())
