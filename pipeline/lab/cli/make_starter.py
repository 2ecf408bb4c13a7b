r"""Make the weights in the package: the embedded detector and the starter S2CNet.

    node pipeline/lab/starter/label_objects.mjs models/ photos/index.json objects.jsonl
    python jobs/make_starter.py --photos photos/ --objects objects.jsonl \
        --scored-crops gaicd_v1_scored_crops.json --lite0 efficientnet-lite0-57934424.pth \
        --mobilenet object_detection_ssd_mobilenetv2_oidv4_fp16.tflite \
        --centerface centerface.onnx --isnet background-removal-node/dist --output made/

None of the inputs is in the package. --photos is any folder of varied photos with an index.json
([{"file", "width", "height", "objects": [{"class_index", "box": xyxy}] or []}]); ours were 1,478
photos, 256 of them with COCO's boxes. --scored-crops is a file of human scores of GAICv1's crops
with object boxes, without its photos (pipeline/lab/starter/scored_crops.py). The networks come from
packages named in pipeline/lab/starter/{teacher_outputs,onnx_networks,semantic_map}.py. onnx,
onnxruntime, rapidocr-onnxruntime and tflite have to be installed. The training takes three hours on
two cores; --trial shows in minutes whether all inputs are right, but its weights are useless.

--graph-from keeps the graph of an earlier file behind the new backbone, whose map has the same
meaning. The file in the package was built this way: its graph was trained on ten times as many
photos.

Exit codes: 0 done; 1 failed; 2 wrong usage.
"""

import sys
from collections.abc import Sequence

from pipeline.command_line import run
from pipeline.lab.starter.inputs import StarterJob
from pipeline.report.progress import Log


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    return run(StarterJob, __doc__, make, arguments)


def make(job: StarterJob) -> int:
    """Label the photos and write both files. Raises UsageError."""
    from pipeline.lab.starter.recipe import make_starter  # slow: loads torch
    from pipeline.lab.weight_files import as_usage_error

    log = Log()
    with as_usage_error():
        make_starter(job, log)
    log.say("done", f"both files are in {job.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
