"""Options of the commands that learn from people's labels."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.options import check, option

LABELS = "{}'s folder, as published or with a JSON file of labels next to it"
BRANCHES = (
    "folder written by `features --folds`: S2CNet reads the maps of these branches of the "
    "detectors, as with `--backbone shared`; without it, its own backbone's"
)


@dataclass(frozen=True, kw_only=True)
class LabelsJob:
    """Folders of photos that people labelled."""

    osie: Path | None = option(None, LABELS.format("OSIE"), placeholder="FOLDER")
    eyecrowd: Path | None = option(None, LABELS.format("EyeCrowd"), placeholder="FOLDER")
    flms: Path | None = option(None, LABELS.format("FLMS"), placeholder="FOLDER")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class BranchesJob(LabelsJob):
    """Train the people branches of the embedded detector."""

    output: Path = option(help="folder for the weights", placeholder="FOLDER")
    photos: Path | None = option(
        None, "folder of other photos, whose clear faces train heads", placeholder="FOLDER"
    )
    seed: int = option(0, "random seed of everything", least=0)


@dataclass(frozen=True, kw_only=True)
class LookingJob(LabelsJob):
    """Continue to train the stages and the branch that predict the maps, end to end, on a GPU."""

    output: Path = option(help="folder for the weights", placeholder="FOLDER")
    detectors: Path = option(help="folder written by `branches`", placeholder="FOLDER")
    steps: int = option(450, "steps of 26 views; 340 to 510 gave the packaged weights", least=1)
    device: str = option(
        "cuda", "where to train: cuda, cuda:N, cpu, mps, or auto: a CUDA GPU if there is one"
    )
    seed: int = option(0, "random seed of everything", least=0)


@dataclass(frozen=True, kw_only=True)
class MapsJob(LabelsJob):
    """Train the packaged detector's maps further, also on predicted fixations; no GPU is needed."""

    output: Path = option(help="folder for the weights", placeholder="FOLDER")
    looks: Path | None = option(
        None,
        "folder of photos with a JSON file of the same name next to it, whose fixations are "
        "predicted",
        placeholder="FOLDER",
    )
    seed: int = option(0, "random seed of everything", least=0)


@dataclass(frozen=True, kw_only=True)
class AnimalsJob:
    """Train the branch that finds heads of animals, behind the packaged detector."""

    output: Path = option(help="folder for the weights", placeholder="FOLDER")
    heads: Path = option(
        help="folder of photos with a JSON file of the same name next to it, whose `heads` are "
        "those of all animals in a photo",
        placeholder="FOLDER",
    )
    photos: tuple[Path, ...] = option(
        help="folders of photos without animals, some of them of people",
        placeholder="FOLDER",
        positional=True,
    )
    seed: int = option(0, "random seed of everything", least=0)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class PlacementJob(LabelsJob):
    """Train the branch that predicts where a thumbnail should be, behind the packaged detector."""

    output: Path = option(help="folder for the weights", placeholder="FOLDER")
    places: Path | None = option(
        None,
        "folder of photos with a JSON file of the same name next to it, whose `places` are the "
        "acceptable ones of thumbnails",
        placeholder="FOLDER",
    )
    detectors: Path | None = option(
        None,
        "folder of detectors by fold, as `looking` writes them: also train without each fold of "
        "the photos with gaze, and write the fold's detector with that branch",
        placeholder="FOLDER",
    )
    seed: int = option(0, "random seed of everything", least=0)


@dataclass(frozen=True, kw_only=True)
class HeldOutJob(LabelsJob):
    """Labelled photos, and the networks by fold that process them."""

    detectors: Path = option(
        help="folder written by `looking` (or `branches`)", placeholder="FOLDER"
    )
    networks: Path | None = option(
        None,
        "folder of fold0.safetensors to fold4.safetensors, S2CNets each trained without its fold, "
        "as `fine_tune_starter.py --fold` writes them; without it the packaged one, which was "
        "trained on these sets, scores all photos",
        placeholder="FOLDER",
    )
    features: Path | None = option(None, BRANCHES, placeholder="FOLDER")


@dataclass(frozen=True, kw_only=True)
class RuleJob(HeldOutJob):
    """Fit the rule of choice on out-of-fold maps and scores."""

    output: Path = option(help="file for the rule", placeholder="JSON")


@dataclass(frozen=True, kw_only=True)
class CachedJob(HeldOutJob):
    """A `HeldOutJob` that keeps the networks' outputs for the next run."""

    cache: Path | None = option(
        None,
        "file that keeps the networks' outputs for the photos, and is read if networks and photos "
        "are the same: the next run then takes half a minute",
        placeholder="FILE",
    )


@dataclass(frozen=True, kw_only=True)
class ConfidenceJob(CachedJob):
    """Fit the confidence on crops chosen by out-of-fold maps and scores, and test it."""

    output: Path = option(help="file for the confidence", placeholder="JSON")
    figures: Path | None = option(
        None, "file for the out-of-fold figures, with intervals", placeholder="JSON"
    )


@dataclass(frozen=True, kw_only=True)
class CompareJob(CachedJob):
    """Compare another rule of choice with the packaged one, photo by photo."""

    output: Path = option(help="file for the figures, with intervals", placeholder="JSON")
    rule: Path = option(
        help="the other rule: a changed copy of pipeline/cropping/choice.json, or one newly fitted",
        placeholder="JSON",
    )
    resamples: int = option(1000, "bootstrap samples for each interval", least=1)


@dataclass(frozen=True, kw_only=True)
class FeaturesJob:
    """Train the branch that predicts S2CNet's feature map; photos need no labels."""

    output: Path = option(help="folder for the weights", placeholder="FOLDER")
    photos: tuple[Path, ...] = option(
        help="folders of photos", placeholder="FOLDER", positional=True
    )
    folds: bool = option(
        False,
        "also train without each fifth of the photos, divided by folder and file name, to measure "
        "out of fold",
    )
    detectors: Path | None = option(
        None,
        "folder of detectors by fold, to which each fold's branch is attached; without it the "
        "packaged one",
        placeholder="FOLDER",
    )
    networks: Path | None = option(
        None,
        "folder of S2CNets by fold, whose maps each fold's branch learns; without it the packaged "
        "one",
        placeholder="FOLDER",
    )
    seed: int = option(0, "random seed of everything", least=0)

    def __post_init__(self) -> None:
        check(self)
