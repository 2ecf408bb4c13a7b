"""Make the weights in the package: the embedded detector and the starter S2CNet.

    node pipeline/lab/starter/label_objects.mjs models/ photos/index.json objects.jsonl
    python jobs/make_starter.py --photos photos/ --objects objects.jsonl \\
        --scored-crops gaicd_v1_scored_crops.json --lite0 efficientnet-lite0-57934424.pth \\
        --mobilenet object_detection_ssd_mobilenetv2_oidv4_fp16.tflite \\
        --centerface centerface.onnx --isnet background-removal-node/dist --output made/

None of the inputs is in the package. --photos is any folder of varied photos with an index.json
([{"file", "width", "height", "objects": [{"class_index", "box": xyxy}] or []}]); ours were 1,478
photos, 256 of them with COCO's boxes. --scored-crops holds human scores of GAICv1's crops with
object boxes, without its photos (pipeline/lab/starter/scored_crops.py). The networks come from
packages named in pipeline/lab/starter/{answers,onnx_networks,readable_map}.py; onnx, onnxruntime,
rapidocr-onnxruntime and tflite are needed here only. Three hours on two cores; --trial shows in
minutes whether all inputs are right, with weights that are good for nothing.

--graph-from keeps the graph of an earlier file behind the new backbone; its map means the same. The
file in the package was made so: its graph has seen ten times as many photos as a new one does here.

Exit codes: 0 done; 1 failed; 2 wrong usage.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.detectors.embedded import detect_with
from pipeline.detectors.subject_network import SubjectNetwork, fold_lite0
from pipeline.errors import UsageError
from pipeline.lab.starter.answers import Answers, Networks, ask
from pipeline.lab.starter.distil import SeenPhoto, distil
from pipeline.lab.starter.layout_teacher import find_subjects, fit_teacher
from pipeline.lab.starter.readable_map import fit_reading, load_backbone, refine
from pipeline.lab.starter.scored_crops import ScoredLayout, read_scored_crops
from pipeline.lab.starter.subject_head import train_detector
from pipeline.lab.starter.views import View, views_of
from pipeline.report.progress import Log
from s2cnet import S2CNet, load_model, prepare_image, to_published_state_dict

USAGE = 2


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


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = made.add_argument
    for name, text in (
        ("photos", "folder with index.json"),
        ("objects", "what label_objects.mjs wrote"),
        ("scored-crops", "JSON of human scores"),
        ("lite0", "EfficientNet-Lite0, .pth"),
        ("centerface", "CenterFace, .onnx"),
        ("isnet", "folder of IS-Net's pieces"),
        ("mobilenet", "MobileNetV2 SSD, .tflite"),
        ("output", "folder for the two files"),
    ):
        add(f"--{name}", required=True, type=Path, help=text)
    add("--graph-from", type=Path, help="weights file whose graph is kept")
    add("--trial", action="store_true", help="few photos, few steps")
    add("--seed", type=int, default=0, help="of everything random (default: 0)")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Label the photos, make both files."""
    given = parser().parse_args(arguments)
    effort = TRIAL if given.trial else Effort()
    log = Log()
    given.output.mkdir(parents=True, exist_ok=True)
    try:
        layouts = read_scored_crops(given.scored_crops)["train"]
    except UsageError as error:
        log.say("error", str(error))
        return USAGE
    networks = Networks(given.centerface, given.isnet, given.lite0)
    answers = ask(given.photos, given.objects, networks, effort.photos)
    detector = SubjectNetwork().eval()
    fold_lite0(torch.load(given.lite0, map_location="cpu", weights_only=True), detector)
    network = S2CNet.untrained("gaicv1", given.seed)
    load_backbone(network, given.mobilenet)
    scored = layouts if given.graph_from is None else load_model(str(given.graph_from))
    make(detector, network, answers, scored, given.photos, given.output, effort, given.seed, log)
    log.say("done", f"both files are in {given.output}")
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
