r"""Train the detector, and fit the rule of choice and the confidence, on people's labels, in steps.

    python jobs/learn_from_people.py branches --osie OSIE/ --eyecrowd EyeCrowd/ \
        --flms FLMS/ --photos photos/ --output branches/
    python jobs/learn_from_people.py looking --osie OSIE/ --eyecrowd EyeCrowd/ \
        --flms FLMS/ --detectors branches/ --output made/
    python jobs/learn_from_people.py maps --osie OSIE/ --eyecrowd EyeCrowd/ \
        --flms FLMS/ --looks looks/ --output made/
    python jobs/learn_from_people.py rule --osie OSIE/ --eyecrowd EyeCrowd/ \
        --flms FLMS/ --detectors made/ --output choice.json
    python jobs/learn_from_people.py confidence --osie OSIE/ --eyecrowd EyeCrowd/ \
        --flms FLMS/ --detectors made/ --output confidence.json --figures figures.json
    python jobs/learn_from_people.py compare --osie OSIE/ --eyecrowd EyeCrowd/ \
        --flms FLMS/ --detectors made/ --rule choice.json --output figures.json
    python jobs/learn_from_people.py animals --heads animals/ photos/ --output made/
    python jobs/learn_from_people.py placement --places photos/ --osie OSIE/ --eyecrowd EyeCrowd/ \
        --output made/
    python jobs/learn_from_people.py features OSIE/ FLMS/ photos/ --output made/

`branches` trains the branches for gaze, crops and heads: subjects.safetensors on all photos, and
fold0.safetensors to fold4.safetensors, each without a fifth of the labelled ones. `looking` trains
the stages and the branch that predict the maps further, end to end, on a GPU, and writes the same
files. `maps` trains only the branch of the packaged maps further, also on photos whose fixations
are predicted. `rule` fits the rule of choice on maps of photos that the fold's branches were not
trained on. `confidence` fits the probability that a person accepts a crop, on the packaged rule's
crops of such photos. `compare` measures how much gaze, heads and people's crops the crops of
another rule keep, compared with the packaged one. Without --networks, the packaged S2CNet scores
all photos in these three steps, and it was trained on these sets. `animals` trains the branch that
finds heads of animals, on boxes around them. `placement` trains the one that predicts where a
thumbnail should be, on acceptable places of crops and on gaze. `features` trains the branch that
predicts the packaged S2CNet's feature map from the detector's trunk, on any photos. It writes
features.safetensors and, with --folds, one file for each fold, trained with the detector and
network of that fold where they are given; `rule`, `confidence`, `compare` and evaluate.py take
these with --features. The folders of labels are as their authors publish them
(pipeline/lab/datasets/gaze.py and human.py), or any folder of photos with a JSON file of the same
name next to it (pipeline/lab/datasets/labels.py).

Time with 1,161 labelled photos on one core: `branches` takes some twenty minutes, `rule`,
`confidence` and `compare` some five (estimated from a few photos), `animals` and `maps` fifteen.
`placement` takes some 25 with 2,400 photos. `looking` takes a minute for each of its six files on a
GPU, or nearly five hours in all on one core (--device cpu). `features` takes a minute per branch on
a GPU, or a quarter of an hour without.

Exit codes: 0 done; 1 failed; 2 wrong usage.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from pipeline.command_line import run
from pipeline.lab.people.settings import (
    AnimalsJob,
    BranchesJob,
    CompareJob,
    ConfidenceJob,
    FeaturesJob,
    LookingJob,
    MapsJob,
    PlacementJob,
    RuleJob,
)
from pipeline.report.progress import Log

STEPS = {
    "branches": BranchesJob, "looking": LookingJob, "maps": MapsJob, "rule": RuleJob,
    "confidence": ConfidenceJob, "compare": CompareJob, "animals": AnimalsJob,
    "placement": PlacementJob, "features": FeaturesJob,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    return run(STEPS, __doc__, learn, arguments)


def learn(job: object) -> int:
    """Do one of the steps. Raises UsageError."""
    # These imports load torch, which --help and usage errors do not need.
    from pipeline.lab.people.animals import write_animals
    from pipeline.lab.people.confidence_recipe import fit_confidence
    from pipeline.lab.people.feature_recipe import write_features
    from pipeline.lab.people.further_maps import write_maps
    from pipeline.lab.people.placement import write_placement
    from pipeline.lab.people.recipe import fit_rule, write_branches, write_looking
    from pipeline.lab.people.rule_comparison import compare_rules
    from pipeline.lab.weight_files import as_usage_error

    steps: dict[type, Callable[[Any, Log], None]] = {
        BranchesJob: write_branches, LookingJob: write_looking, MapsJob: write_maps,
        RuleJob: fit_rule, ConfidenceJob: fit_confidence, CompareJob: compare_rules,
        AnimalsJob: write_animals, PlacementJob: write_placement, FeaturesJob: write_features,
    }  # fmt: skip
    with as_usage_error():
        steps[type(job)](job, Log())
    return 0


if __name__ == "__main__":
    sys.exit(main())
