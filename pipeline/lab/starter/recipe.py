"""The recipe of the packaged weights: label photos, train the detector, then the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.detectors.embedded import detect_with
from pipeline.detectors.subject_network import SubjectNetwork, fold_lite0
from pipeline.lab.starter.answers import Answers, Networks, ask
from pipeline.lab.starter.distil import SeenPhoto, distil
from pipeline.lab.starter.inputs import StarterJob
from pipeline.lab.starter.layout_teacher import find_subjects, fit_teacher
from pipeline.lab.starter.readable_map import fit_reading, load_backbone, refine
from pipeline.lab.starter.scored_crops import ScoredLayout, read_scored_crops
from pipeline.lab.starter.subject_head import train_detector
from pipeline.lab.starter.views import View, views_of
from pipeline.report.progress import Log
from s2cnet import S2CNet, load_model, prepare_image, to_published_state_dict


@dataclass(frozen=True)
class Effort:
    """How much is done. The defaults made the files in the package."""

    photos: int | None = None  # the first ones of the index; None: all
    held_out: int = 150  # photos that nothing is trained on
    detector_epochs: int = 3
    reading_views: int = 360
    map_steps: int = 2100
    subject_rounds: int = 4
    teachers: int = 2  # beside the one that finds the subjects
    teacher_epochs: int = 9
    graph_steps: int = 4500


TRIAL = Effort(
    photos=12, held_out=2, detector_epochs=1, reading_views=9, map_steps=3, subject_rounds=1,
    teachers=1, teacher_epochs=1, graph_steps=5,
)  # fmt: skip


def make_starter(job: StarterJob, log: Log) -> None:
    """Label the photos and write both files into the job's output. Raises UsageError."""
    effort = TRIAL if job.trial else Effort()
    job.output.mkdir(parents=True, exist_ok=True)
    layouts = read_scored_crops(job.scored_crops)["train"]
    networks = Networks(job.centerface, job.isnet, job.lite0)
    answers = ask(job.photos, job.objects, networks, effort.photos)
    detector = SubjectNetwork().eval()
    fold_lite0(torch.load(job.lite0, map_location="cpu", weights_only=True), detector)
    network = S2CNet.untrained("gaicv1", job.seed)
    load_backbone(network, job.mobilenet)
    scored = layouts if job.graph_from is None else load_model(str(job.graph_from))
    make(detector, network, answers, scored, job.photos, job.output, effort, job.seed, log)


def make(
    detector: SubjectNetwork,
    network: S2CNet,
    answers: Sequence[Answers],
    scored: Sequence[ScoredLayout] | S2CNet,
    photos: Path,
    output: Path,
    effort: Effort,
    seed: int,
    log: Log,
) -> None:
    """Train the detector and the network, whose trunk and backbone see already; write both files.

    answers: of photos in the folder `photos`. scored: human scores to learn the graph from, or a
    network whose graph is kept. Files: subjects.safetensors, starter.safetensors.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(answers))[effort.held_out :]
    views = [view for index in order for view in views_of(answers[index], random)]
    log.say("labels", f"{len(answers)} photos labelled, {len(views)} views")

    train_detector(detector, views, photos, seed, effort.detector_epochs)
    _write(detector.state_dict(), output / "subjects.safetensors")
    log.say("detector", "the embedded detector is trained")

    drawn = random.permutation(len(views))[: effort.reading_views]
    fit_reading(network, [views[index] for index in drawn], photos)
    refine(network, views, photos, seed, effort.map_steps)
    log.say("map", "the backbone draws what it sees")
    if isinstance(scored, S2CNet):
        take_graph(network, scored)
    else:
        seen = [_seen(network, detector, view, photos) for view in views]
        learn_graph(network, seen, scored, effort, seed, log)
    _write(to_published_state_dict(network), output / "starter.safetensors")


def learn_graph(
    network: S2CNet,
    seen: Sequence[SeenPhoto],
    layouts: Sequence[ScoredLayout],
    effort: Effort,
    seed: int,
    log: Log,
) -> None:
    """Train all behind the backbone on human scores and on the belief about the seen photos."""
    teacher, subjects = find_subjects(layouts, seed, effort.subject_rounds)
    teachers = [teacher] + [
        fit_teacher(layouts, subjects, effort.teacher_epochs, seed=10 + i)
        for i in range(effort.teachers)
    ]
    log.say("teachers", f"subjects found in {len(subjects)} scored photos")
    distil(network, seen, layouts, subjects, teachers, seed, effort.graph_steps)


def take_graph(network: S2CNet, earlier: S2CNet) -> None:
    """Give the network everything of an earlier one that stands behind the backbone."""
    state = earlier.state_dict()
    kept = {name: state[name] for name in state if not name.startswith("backbone.")}
    network.load_state_dict(kept, strict=False)


@torch.inference_mode()
def _seen(network: S2CNet, detector: SubjectNetwork, view: View, folder: Path) -> SeenPhoto:
    pixels = view.pixels(folder)
    image = prepare_image(pixels)[0]
    found = detect_with(detector, pixels)
    height, width = pixels.shape[:2]
    return SeenPhoto(
        network.backbone(image[None])[0].numpy().astype(np.float16),
        (image.shape[2], image.shape[1]),
        (found.boxes / np.array([width, height] * 2, np.float32)).astype(np.float32),
        view.belief.subjects,
        view.belief.weights,
    )


def _write(tensors: dict[str, Tensor], path: Path) -> None:
    """Half precision: half the size, and scores move by less than the third decimal."""
    halved = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous().clone()
        for name, tensor in tensors.items()
    }
    save_file(halved, path)
