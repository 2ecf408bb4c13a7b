"""The recipe of the packaged weights: run the teachers, train the detector, then the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pipeline.detectors.embedded import detect_with
from pipeline.detectors.subject_network import SubjectNetwork, fold_lite0
from pipeline.errors import UsageError, naming
from pipeline.lab.starter.detector_training import train_detector
from pipeline.lab.starter.graph_training import EncodedPhoto, train_graph
from pipeline.lab.starter.inputs import StarterJob
from pipeline.lab.starter.layout_teacher import ROUNDS, find_subjects, fit_teacher
from pipeline.lab.starter.scored_crops import ScoredLayout, read_scored_crops
from pipeline.lab.starter.semantic_map import fit_projection, load_backbone, train_backbone
from pipeline.lab.starter.teacher_outputs import TeacherFiles, TeacherOutputs, run_teachers
from pipeline.lab.starter.views import View, views_of
from pipeline.lab.weight_files import halved, naming_weights, write_tensors
from pipeline.output_files import make_folder
from pipeline.report.progress import Log
from pipeline.words import counted
from s2cnet import S2CNet, load_model, prepare_image, to_published_state_dict

TEACHER_SEEDS = 10  # added to the seed, for the teachers besides the one that finds the subjects


@dataclass(frozen=True)
class Budget:
    """The amount of training. The files in the package were trained with the defaults."""

    photos: int | None = None  # the first ones of the index; None: all
    held_out: int = 150  # photos kept out of training
    detector_epochs: int = 3
    projection_views: int = 360
    map_steps: int = 2100
    subject_rounds: int = ROUNDS
    teachers: int = 2  # in addition to the one that finds the subjects
    teacher_epochs: int = 9
    graph_steps: int = 4500


TRIAL = Budget(
    photos=12, held_out=2, detector_epochs=1, projection_views=9, map_steps=3, subject_rounds=1,
    teachers=1, teacher_epochs=1, graph_steps=5,
)  # fmt: skip


def make_starter(job: StarterJob, log: Log) -> None:
    """Label the photos and write both files into the job's output. Raises UsageError."""
    job.check_files()
    budget = TRIAL if job.trial else Budget()
    make_folder(job.output, "output")
    with naming("scored_crops"):
        scored: Sequence[ScoredLayout] | S2CNet = read_scored_crops(job.scored_crops)["train"]
    if job.graph_from is not None:
        with naming_weights("graph_from"):  # before the hours of the teachers
            scored = load_model(str(job.graph_from))
    files = TeacherFiles(job.centerface, job.isnet, job.lite0)
    outputs = run_teachers(job.photos, job.objects, files, budget.photos)
    if len(outputs) <= budget.held_out:
        raise UsageError(
            f"{job.photos / 'index.json'} names {counted(len(outputs), 'photo')} with a line in "
            f"{job.objects}, and {budget.held_out} are kept out of training: give more"
        )
    detector = SubjectNetwork().eval()
    fold_lite0(torch.load(job.lite0, map_location="cpu", weights_only=True), detector)
    network = S2CNet.untrained("gaicv1", job.seed)
    load_backbone(network, job.mobilenet)
    train_both(detector, network, outputs, scored, job.photos, job.output, budget, job.seed, log)


def train_both(
    detector: SubjectNetwork,
    network: S2CNet,
    outputs: Sequence[TeacherOutputs],
    scored: Sequence[ScoredLayout] | S2CNet,
    photos: Path,
    output: Path,
    budget: Budget,
    seed: int,
    log: Log,
) -> None:
    """Train the detector and the network, whose trunk and backbone are pretrained; write both.

    outputs: those of photos in the folder `photos`. scored: human scores to train the graph on, or
    a network whose graph is kept. Files: subjects.safetensors, starter.safetensors.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(outputs))[budget.held_out :]
    views = [view for index in order for view in views_of(outputs[index], random)]
    log.say("labels", f"{counted(len(outputs), 'photo')} labelled, {counted(len(views), 'view')}")

    train_detector(detector, views, photos, seed, budget.detector_epochs)
    write_tensors(output / "subjects.safetensors", halved(detector.state_dict()))
    log.say("detector", "the embedded detector is trained")

    drawn = random.permutation(len(views))[: budget.projection_views]
    fit_projection(network, [views[index] for index in drawn], photos)
    train_backbone(network, views, photos, seed, budget.map_steps)
    log.say("map", "the backbone is trained")
    if isinstance(scored, S2CNet):
        copy_graph(network, scored)
    else:
        encoded = [_encoded(network, detector, view, photos) for view in views]
        fit_graph(network, encoded, scored, budget, seed, log)
    write_tensors(output / "starter.safetensors", halved(to_published_state_dict(network)))


def fit_graph(
    network: S2CNet,
    photos: Sequence[EncodedPhoto],
    layouts: Sequence[ScoredLayout],
    budget: Budget,
    seed: int,
    log: Log,
) -> None:
    """Train everything behind the backbone on human scores and on pseudo-labels of photos."""
    teacher, subjects = find_subjects(layouts, seed, budget.subject_rounds)
    teachers = [teacher] + [
        fit_teacher(layouts, subjects, budget.teacher_epochs, seed + TEACHER_SEEDS + i)
        for i in range(budget.teachers)
    ]
    log.say("teachers", f"subjects found in {counted(len(subjects), 'scored photo')}")
    train_graph(network, photos, layouts, subjects, teachers, seed, budget.graph_steps)


def copy_graph(network: S2CNet, earlier: S2CNet) -> None:
    """Copy everything behind the backbone from an earlier network."""
    state = earlier.state_dict()
    kept = {name: state[name] for name in state if not name.startswith("backbone.")}
    network.load_state_dict(kept, strict=False)


@torch.inference_mode()
def _encoded(network: S2CNet, detector: SubjectNetwork, view: View, folder: Path) -> EncodedPhoto:
    pixels = view.pixels(folder)
    image = prepare_image(pixels)[0]
    found = detect_with(detector, pixels)
    height, width = pixels.shape[:2]
    return EncodedPhoto(
        network.backbone(image[None])[0].numpy().astype(np.float16),
        (image.shape[2], image.shape[1]),
        (found.boxes / np.array([width, height] * 2, np.float32)).astype(np.float32),
        view.labels.subjects,
        view.labels.probabilities,
    )
