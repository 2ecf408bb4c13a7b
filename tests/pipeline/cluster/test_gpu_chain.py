"""The chain of stages on a real Ray cluster that claims to have a GPU; networks run on the CPU.

Ray accepts any number of GPUs, so everything except the card itself is as on a GPU: how Ray places
actors with `num_gpus`, how blocks reach them, and how many there are.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pipeline import open_run
from tests.support.odd_photos import scene

ROOT = Path(__file__).parents[3]
PHOTOS = 5
JOB = """
import io, sys
from dataclasses import replace
import ray
from pipeline import run
from pipeline.cluster import joining
from pipeline.cluster import growing as cluster
from pipeline.report.progress import Log
from pipeline.settings import Settings

ray.init(num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False,
         runtime_env={"env_vars": {"PYTHONPATH": joining.with_our_packages(None)}})
shares = []

def told(*arguments):
    shares.append(found(*arguments))
    return replace(shares[0], device="cpu")  # the card is not there

found, cluster.share_out = cluster.share_out, told
settings = Settings.of(input=sys.argv[1], output=sys.argv[2], ratios="1:1,16:9", task_images=2,
                       gpus_per_actor=0.5, num_actors=2)
assert run.crop_bucket(settings, Log(stream=io.StringIO())) == "done"
assert (shares[0].device, shares[0].actors, shares[0].actor_gpus) == ("cuda", 2, 0.5), shares
"""


@pytest.mark.slow
def test_a_stage_with_a_gpu_gets_whole_tasks(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(PHOTOS):
        picture = Image.fromarray(scene(300 + 40 * number, 200))
        picture.save(tmp_path / f"photos/{number}.jpg")
    command = [sys.executable, "-c", JOB, str(tmp_path / "photos"), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    images = open_run(str(tmp_path / "out")).images()
    assert sorted(images["status"].to_pylist()) == ["ok"] * PHOTOS
