"""The last step of the starter's recipe: read people's labels, encode the photos, fine-tune."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.detectors.embedded import EmbeddedDetector
from pipeline.errors import UsageError, naming
from pipeline.lab.datasets import log_notes, read_set
from pipeline.lab.datasets.example import Example
from pipeline.lab.datasets.layout import check_photos_once, read_upright_pixels
from pipeline.lab.evaluation.frame import check_inside
from pipeline.lab.fold_weights import fold_metadata
from pipeline.lab.folds import fold_of, set_name_of
from pipeline.lab.starter.fine_tuning import STEPS, fine_tune
from pipeline.lab.starter.inputs import FineTuneJob
from pipeline.lab.starter.labelled_photos import encode_labelled
from pipeline.lab.starter.layout_teacher import find_subjects
from pipeline.lab.starter.scored_crops import read_scored_crops
from pipeline.lab.weight_files import halved, naming_weights, write_tensors
from pipeline.output_files import make_folder
from pipeline.report.progress import Log
from pipeline.words import counted
from s2cnet import PRESETS, S2CNet, load_model, to_published_state_dict

TRIAL_PHOTOS, TRIAL_LAYOUTS, TRIAL_STEPS = 6, 32, 2


def fine_tune_starter(job: FineTuneJob, log: Log) -> None:
    """Write the job's `file_name` into its output. Raises UsageError."""
    with naming("scored_crops"):
        layouts = read_scored_crops(job.scored_crops)["train"]
    examples = read_examples(job.people, job.fold, log)
    steps = STEPS
    if job.trial:
        examples = examples[:: max(1, len(examples) // TRIAL_PHOTOS)]
        layouts, steps = layouts[:TRIAL_LAYOUTS], TRIAL_STEPS
    with naming_weights("start"):
        network = load_model(job.start)
        if not isinstance(network, S2CNet) or network.config != PRESETS["gaicv1"]:
            raise UsageError(f"{job.start} is no S2CNet of the preset gaicv1")
    make_folder(job.output, "output")
    random = np.random.default_rng(job.seed)
    detector = EmbeddedDetector()
    photos = [
        encode_labelled(network, example, pixels_of(example), detector, random)
        for example in examples
    ]
    log.say("photos", f"{counted(len(photos), 'labelled photo')} encoded")
    _, subjects = find_subjects(layouts, job.seed)
    log.say("subjects", f"subjects found in {counted(len(subjects), 'scored photo')}")
    fine_tune(network, photos, layouts, subjects, job.seed, steps)
    metadata = None if job.fold is None else fold_metadata(map(set_name_of, job.people))
    tensors = halved(to_published_state_dict(network))
    write_tensors(job.output / job.file_name, tensors, metadata)


def read_examples(
    folders: Sequence[Path], left_out: int | None = None, log: Log | None = None
) -> list[Example]:
    """Read the photos with crops or gaze from some folders, without those of one fold.

    log: reports what a set leaves out. Raises UsageError, also where none are left or a photo is
    given twice.
    """
    examples: list[Example] = []
    photos: list[Path] = []
    for folder in folders:
        found, notes = read_set("labels", folder)
        log_notes(notes, log)
        photos += [example.image for example in found]
        examples += [
            example
            for example in found
            if fold_of(set_name_of(folder), example.image.name) != left_out
            and (len(example.human_px) or example.fixations_px is not None)
        ]
    check_photos_once(photos)
    if not examples:
        raise UsageError(f"no photo with crops or gaze in {', '.join(map(str, folders))}")
    return examples


def pixels_of(example: Example) -> NDArray[np.uint8]:
    """Read the pixels of a photo that its labels are of.

    Raises UsageError where it cannot be read, or the labels are in another frame.
    """
    pixels = read_upright_pixels(example.image)
    height, width = pixels.shape[:2]
    check_inside(example, (width, height))
    return pixels
