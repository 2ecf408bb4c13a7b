"""Objects from every source are in source pixels, inside the photo."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from pipeline.cropping.build import make_source
from pipeline.cropping.decide import GuardPolicy, PhotoGuards
from pipeline.cropping.protected import protected_of
from pipeline.cropping.sources import DetectorSource, GivenSource, ObjectSource, clipped_to_photo
from pipeline.cropping.transfer import SentPhoto, Transfer
from pipeline.detectors import Detections, Pixels
from pipeline.detectors.embedded import EmbeddedDetector
from pipeline.detectors.given_boxes import GivenBoxes, ListedPhoto
from pipeline.errors import DetectError, UsageError
from pipeline.photo.decode import Photo
from pipeline.shapes import parse_shape
from tests.support.odd_photos import scene

TRANSFER = Transfer(torch.device("cpu"))


def objects(*rows: Sequence[float]) -> Detections:
    found = np.array(rows, np.float32).reshape(-1, 4)
    return Detections(found, np.ones(len(found), np.float32), ["thing"] * len(found))


def photo(width: int = 300, height: int = 200, reduced: int = 1) -> Photo:
    """A photo whose view is `reduced` times smaller than its source."""
    return Photo(scene(width // reduced, height // reduced), width, height, "jpeg", 1)


def sent(source: ObjectSource, one: Photo) -> SentPhoto:
    return TRANSFER.send(one, source.detector_input(one))


@dataclass(frozen=True)
class WithMood(Detections):
    """Detections of a source that tells something of the whole photo too."""

    mood: str = ""


class OneBox:
    """A detector that always sees the left upper quarter of what it is given."""

    name = identity = "one-box"

    def detect(self, photos: Sequence[Pixels]) -> list[Detections]:
        quarters = [objects((0, 0, p.shape[1] / 2, p.shape[0] / 2)) for p in photos]
        return [WithMood(q.boxes, q.scores, q.labels, mood="calm") for q in quarters]


def test_detector_boxes_come_back_in_source_pixels() -> None:
    source = DetectorSource(OneBox())
    (found,) = source.objects([sent(source, photo(1200, 800, reduced=4))], [ListedPhoto()])
    assert found.boxes.tolist() == [[0, 0, 600, 400]]
    assert source.identity == "one-box"


def test_what_a_detector_tells_beside_its_boxes_comes_along() -> None:
    source = DetectorSource(OneBox())
    (found,) = source.objects([sent(source, photo())], [ListedPhoto()])
    assert isinstance(found, WithMood)
    assert found.mood == found.top(0).mood == "calm"  # type: ignore[attr-defined]


def test_the_small_input_gives_the_same_objects_as_the_whole_photo() -> None:
    """The embedded detector reads the sent copy; by itself it makes the copy from the pixels."""
    small, whole = make_source("embedded"), DetectorSource(EmbeddedDetector())
    assert small.identity == whole.identity
    photos, listed = [photo(1200, 800, 2), photo(200, 320)], [ListedPhoto()] * 2
    results = [
        source.objects([sent(source, one) for one in photos], listed) for source in (small, whole)
    ]
    for first, second in zip(*results, strict=True):
        assert len(first)
        assert first.labels == second.labels
        np.testing.assert_array_equal(first.boxes, second.boxes)


def test_a_photo_sent_without_the_detectors_copy_is_refused() -> None:
    with pytest.raises(ValueError, match="without a copy for the detector"):
        make_source("embedded").objects([TRANSFER.send(photo())], [ListedPhoto()])


def test_given_boxes_are_objects_and_those_outside_are_dropped() -> None:
    source = make_source("boxes")
    listed = ListedPhoto("a.jpg", [[1, 2, 3, 4], [-5, 0, 10, 10], [310, 0, 320, 10]])
    (found,) = source.objects([sent(source, photo())], [listed])
    assert found.boxes.tolist() == [[1, 2, 3, 4], [0, 0, 10, 10]]
    assert source.identity == "column"


def test_each_photo_has_its_own_boxes_and_one_without_any_is_an_error() -> None:
    source = GivenSource(GivenBoxes())
    photos = [sent(source, photo()), sent(source, photo())]
    first, second = ListedPhoto("a.jpg", [[1, 2, 3, 4]]), ListedPhoto("b.jpg", [])
    assert [len(one) for one in source.objects(photos, [first, second])] == [1, 0]
    with pytest.raises(DetectError, match=r"b\.jpg has no boxes") as missing:
        source.objects(photos, [first, ListedPhoto("b.jpg")])
    assert missing.value.status == "boxes_missing"


def test_objects_are_clipped_and_nonsense_is_dropped() -> None:
    given = objects(
        (-5, -5, 10, 10), (np.nan, 0, 5, 5), (310, 0, 320, 10), (7, 7, 7, 9), (9, 9, 20, 20)
    )
    kept = clipped_to_photo(
        replace(given, scores=np.array([4, 3, 2, 1, np.nan], np.float32)), photo(300, 200)
    )
    assert kept.boxes.tolist() == [[0, 0, 10, 10]]
    assert (kept.scores.tolist(), kept.labels) == ([4], ["thing"])


@pytest.mark.filterwarnings("error")
def test_boxes_much_thinner_than_a_pixel_are_no_objects() -> None:
    """With one of them the share of the main subject, and so the levels, would be no numbers."""
    thin = [(0, 0, 1e-30, 10), (1e-20, 50, 2e-20, 60), (5, 5, 9, 5.0005), (0, 0, 1e-25, 1e-25)]
    kept = clipped_to_photo(objects((50, 50, 150, 150), *thin, (5, 5, 9, 5.01)), photo(300, 200))
    assert kept.boxes.tolist() == [[50, 50, 150, 150], [5, 5, 9, np.float32(5.01)]]
    policy = GuardPolicy.read("subject=0.2")
    guard = PhotoGuards(policy, protected_of(kept, (300, 200)))(parse_shape("1:1"))
    assert guard.levels([[100, 0, 300, 200]]).tolist() == [0]  # half of one of two things: .25
    assert guard.levels([[150, 0, 300, 150]]).tolist() == [2]  # none of them: .2 is lacking
    assert guard.counts([100, 0, 300, 200]).subject_share == pytest.approx(0.25)


@pytest.mark.parametrize("spec", ["", "yolo", "embedded:x", "torchvision", "torchvision:"])
def test_an_unknown_source_lists_the_known_ones(spec: str) -> None:
    with pytest.raises(UsageError, match=r"use embedded, boxes, .* or vg:"):
        make_source(spec)
