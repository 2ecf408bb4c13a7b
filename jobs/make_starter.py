"""Make the weights in the package: the embedded detector's head and the starter S2CNet.

    node pipeline/starter/label_objects.mjs models/ photos/index.json objects.jsonl
    python jobs/make_starter.py --photos photos/ --objects objects.jsonl \\
        --scored-crops gaicd_v1_scored_crops.json --lite0 efficientnet-lite0-57934424.pth \\
        --mobilenet object_detection_ssd_mobilenetv2_oidv4_fp16.tflite \\
        --centerface centerface.onnx --output made/

None of the inputs is in the package. --photos is any folder of varied photos with an index.json
([{"file", "width", "height", "objects": [{"class_index", "box": xyxy}] or []}]); ours were 1,478
photos, 256 of them with COCO's boxes. --scored-crops holds human scores of GAICv1's crops with
object boxes, without its photos (pipeline/starter/scored_crops.py). The networks come from packages
named in pipeline/starter/answers.py and readable_map.py; onnx, onnxruntime and tflite are needed
here only. Hours on one core. Exit codes: 0 done; 1 failed; 2 wrong usage.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # runs uninstalled as well

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipeline.detectors.embedded import find
from pipeline.detectors.subject_network import SubjectNetwork, fold_lite0
from pipeline.errors import UsageError
from pipeline.progress import Log
from pipeline.starter.answers import ask
from pipeline.starter.distil import SeenPhoto, distil
from pipeline.starter.layout_teacher import find_subjects, fit_teacher
from pipeline.starter.readable_map import fit_reading, load_backbone, refine
from pipeline.starter.scored_crops import read_scored_crops
from pipeline.starter.subject_head import train_head
from pipeline.starter.views import View, views_of
from s2cnet import S2CNet, prepare_image, to_published_state_dict

USAGE = 2
HELD_OUT = 150  # photos that nothing is trained on
READING_VIEWS = 360
TEACHERS = 2  # beside the one that finds the subjects


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
        ("mobilenet", "MobileNetV2 SSD, .tflite"),
        ("output", "folder for the two files"),
    ):
        add(f"--{name}", required=True, type=Path, help=text)
    add("--seed", type=int, default=0, help="of everything random (default: 0)")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Label, train the head, train the graph, write both files."""
    given = parser().parse_args(arguments)
    log = Log()
    given.output.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(given.seed)
    try:
        layouts = read_scored_crops(given.scored_crops)["train"]
    except UsageError as error:
        log.say("error", str(error))
        return USAGE
    answers = ask(given.photos, given.objects, given.centerface, given.lite0)
    views = [
        view
        for each in random.permutation(np.array(answers, object))[HELD_OUT:]
        for view in views_of(each, random)
    ]
    log.say("labels", f"{len(answers)} photos labelled, {len(views)} views")

    detector = SubjectNetwork().eval()
    fold_lite0(torch.load(given.lite0, map_location="cpu", weights_only=True), detector)
    detector.head = train_head(detector, views, given.photos, given.seed)
    _write(detector.state_dict(), given.output / "subjects.safetensors")
    log.say("head", "the embedded detector is trained")

    network = S2CNet.untrained("gaicv1", given.seed)
    load_backbone(network, given.mobilenet)
    fit_reading(network, views[:READING_VIEWS], given.photos)
    refine(network, views, given.photos, given.seed)
    teacher, subjects = find_subjects(layouts, given.seed)
    teachers = [teacher] + [
        fit_teacher(layouts, subjects, epochs=9, seed=10 + i) for i in range(TEACHERS)
    ]
    log.say("teachers", f"subjects found in {len(subjects)} scored photos")
    seen = [_seen(network, detector, view, given.photos) for view in views]
    distil(network, seen, layouts, subjects, teachers, given.seed)
    _write(to_published_state_dict(network), given.output / "starter.safetensors")
    log.say("done", f"both files are in {given.output}")
    return 0


@torch.inference_mode()
def _seen(network: S2CNet, detector: SubjectNetwork, view: View, folder: Path) -> SeenPhoto:
    pixels = view.pixels(folder)
    image = prepare_image(pixels)[0]
    found = find(detector, pixels)
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
