r"""Fine-tune the starter S2CNet on what people crop and look at: the last step of its recipe.

    python jobs/fine_tune_starter.py people/flms people/osie people/eyecrowd --output tuned/ \
        --scored-crops scored_crops.json --start made/starter.safetensors

Each FOLDER holds photos, with a JSON file of labels next to it (`<folder>.json`, see
pipeline/lab/datasets/labels.py): crops that people drew, or where they looked, and heads. Ours were
296 photos of FLMS, 483 of OSIE and 382 of EyeCrowd, long side up to 640 px. --scored-crops is a
file of human scores of GAICv1's crops with object boxes, without its photos. --start is a file
written by jobs/make_starter.py. Detections come from the embedded detector in the package.

--fold N leaves out one photo in five, by its name, for measuring, and writes foldN.safetensors.
evaluate.py and learn_from_people.py take the folder of all five as --networks. A training takes ten
minutes on one core; --trial shows in a minute whether all inputs are right, but its weights are
useless.

Exit codes: 0 done; 1 failed; 2 wrong usage.
"""

import sys
from collections.abc import Sequence

from pipeline.command_line import run
from pipeline.lab.starter.inputs import FineTuneJob
from pipeline.report.progress import Log


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    return run(FineTuneJob, __doc__, tune, arguments)


def tune(job: FineTuneJob) -> int:
    """Read the labels, train, write the file. Raises UsageError."""
    from pipeline.lab.starter.people_recipe import fine_tune_starter  # slow: loads torch
    from pipeline.lab.weight_files import as_usage_error

    log = Log()
    with as_usage_error():
        fine_tune_starter(job, log)
    log.say("done", f"{job.file_name} is in {job.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
