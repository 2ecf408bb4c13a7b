"""Crop one photo without a cluster, with the same decoding, scoring and choosing as the jobs.

torch and torchvision take seconds to import. They are imported when a `Cropper` is built, so that
`from pipeline import Cropper` costs little.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.boxes import as_numbers, to_whole_pixels
from pipeline.cropping.build import (
    BACKBONE,
    EMBEDDED,
    GIVEN,
    RANK_BY,
    REVIEW_BELOW,
    RUNTIME,
    assemble,
    choose_backbone,
    choose_runtime,
    make_source,
)
from pipeline.cropping.forked import use_one_thread_in_forks
from pipeline.cropping.kind_policy import LONG, TEXT, KindPolicy, LongPhotos, TextHeavy
from pipeline.cropping.results import CropVerdict, Fit
from pipeline.cropping.weights import load_given
from pipeline.detectors import Detector
from pipeline.errors import UsageError
from pipeline.photo.decode import decode
from pipeline.photo.given import ImageLike, photo_of
from pipeline.photo.sandbox.standalone import decode_sandboxed
from pipeline.settings import CroppingSettings, DecodingSettings
from pipeline.settings.guards import DEFAULT_FALLBACK, DEFAULT_PROFILE
from pipeline.shapes import parse_shape, refuse_too_many

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Crop:
    """One crop. `box_px` is x0, y0, x1, y1 in source pixels after orientation, half-open.

    score is the network's, comparable within one photo. choice is the number that decided,
    comparable within one shape. margin is its lead in choice over the best candidate clearly
    different from it and those before it (IoU below .7), None if there is none or if the two break
    guards to different degrees. choice and margin are None if no number decided. The other fields
    are those of the table of crops (docs/GUARDS.md): heads, faces and blocks of text cut, the share
    of the main subject inside (None: there is none), the verdict "ok", "fallback" or "review" with
    its reason, how the photo fills the shape ("crop"; "pad" and "blur", where the box is the whole
    photo inside its borders), and how likely a person accepts the crop.
    """

    ratio: str
    rank: int
    box_px: tuple[float, float, float, float]
    score: float
    margin: float | None
    choice: float | None
    faces_cut: int | None = None
    heads_cut: int | None = None
    text_cut: int | None = None
    subject_share: float | None = None
    verdict: CropVerdict = "ok"
    reason: str | None = None
    fit: Fit = "crop"
    confidence: float | None = None


class Cropper:
    """Crops single photos. Building one loads the network and the detector; keep it.

    Several threads may use one. It cannot be pickled: with the start methods "spawn" and
    "forkserver" of multiprocessing, each process builds its own. A forked child may use its
    parent's; since a fork loses torch's threads, torch then has one thread in the child. Do not
    fork while another thread crops: numpy's library may hold a lock, and the child would wait for
    it without end.
    """

    def __init__(
        self,
        weights: "str | Path | Mapping[str, Tensor] | None" = None,
        detector: str | Detector | None = None,
        device: str | None = None,
        rank_by: Literal["overlap", "score"] = RANK_BY,
        guards: str = DEFAULT_PROFILE,
        fallback: str = DEFAULT_FALLBACK,
        safe_areas: str = "",
        review_below: float = REVIEW_BELOW,
        borders: Literal["trim", "keep"] = "trim",
        long_photos: LongPhotos = LONG,
        text_heavy: TextHeavy = TEXT,
        runtime: Literal["auto", "torch", "onnxruntime"] = RUNTIME,
        backbone: Literal["auto", "shared", "own"] = BACKBONE,
        trusted: bool = False,
    ) -> None:
        """Load the network and the detector.

        weights: path, fsspec URI, "starter", "untrained", or a mapping in the published layout.
            None is the starter where the package has it, else an untrained network.
        detector: a name as for `--detector`, except `boxes`, or a Detector, which may simply
            return your own boxes; None is the embedded one.
        device: "cpu", "cuda", "cuda:N", "mps", or "auto" and None: a GPU if there is one, by the
            rule of `pipeline.device`.
        rank_by: "overlap" or "score": what decides among candidates, as in `crop_bucket.py`.
        guards, fallback, safe_areas: what no crop may do, what to try if every crop does it, and
            what covers the crops, as in `crop_bucket.py`; docs/GUARDS.md explains them.
        review_below: a crop with less confidence has the verdict "review"; 0 for none.
        borders, long_photos, text_heavy: how to treat uniform borders, photos beyond 1:2.5 and
            pages of text, as in `crop_bucket.py`; docs/KINDS.md explains them.
        runtime: what runs the networks on a CPU; "auto" takes onnxruntime if it is installed.
        backbone: what the network reads: "own" is its own backbone, as published; "shared" the
            trunk of the embedded detector; "auto" is "shared" if the weights are the packaged
            ones, the detector the embedded one and `rank_by` "overlap", else "own".
        trusted: decode files in this process. Only for pictures that nobody else could have made:
            a crafted file may run code in the process that decodes it. By default a locked-down
            child process decodes them, at about .3 s once and a few milliseconds per photo.

        Raises UsageError for an invalid value of an argument, for an unknown detector or device,
        for the detector `boxes`, for a runtime that is not available and for guards that make no
        sense, or WeightsError if the weights don't fit the network.
        """
        from pipeline.cropping.decide import GuardPolicy
        from pipeline.cropping.sources import DetectorSource
        from pipeline.device import choose_device
        from s2cnet import FastS2CNet

        use_one_thread_in_forks()
        # A job's settings refuse invalid values with the same messages.
        asked = CroppingSettings(
            backbone=backbone,
            rank_by=rank_by,
            review_below=review_below,
            long_photos=long_photos,
            text_heavy=text_heavy,
            guards=guards,
            fallback=fallback,
        )
        self._trims = DecodingSettings(borders=borders).borders == "trim"
        self._decode = decode if trusted else decode_sandboxed
        if not isinstance(safe_areas, str):
            raise UsageError(f"safe_areas must be a text as for `--safe-areas`, not {safe_areas!r}")
        if not isinstance(trusted, bool):
            raise UsageError(f"trusted must be True or False, not {trusted!r}")
        guard_policy = GuardPolicy.read(guards, fallback, safe_areas, asked.review_below)
        on_device = choose_device(device)
        run_by = choose_runtime(runtime, on_device)
        detector = EMBEDDED if detector is None else detector
        _check_detects(detector)
        network, sha256 = load_given(weights, on_device)
        name = detector if isinstance(detector, str) else ""
        shared = choose_backbone(backbone, sha256, name, rank_by) == "shared"
        if isinstance(detector, str):
            source = make_source(name, on_device, runtime=run_by, with_features=shared)
        else:
            source = DetectorSource(detector)
        self._engine = assemble(
            FastS2CNet(network, runtime=run_by, with_backbone=not shared),
            source,
            on_device,
            rank_by=rank_by,
            guard_policy=guard_policy,
            kind_policy=KindPolicy(long_photos, text_heavy),
        )

    def crop(
        self, image: ImageLike, ratios: Sequence[str] = ("1:1",), top_k: int = 1
    ) -> list[Crop]:
        """Return the `top_k` best clearly different crops of each shape, in the order of `ratios`.

        ratios: "16:9", "640:480", "circle" (within a pixel a square, whose inscribed circle keeps
        the subject), "free"; for none, the result is empty and the image is not looked at. There
        are fewer than `top_k` if a shape has no more different crops, and none if the fallback
        `skip` decides.
        Raises UsageError for an unknown shape or kind of image and for over 100 shapes, DecodeError
        for bytes that are no photo and for a photo over a limit of `pipeline.photo.limits`, OSError
        for a path that can't be read (FileNotFoundError if there is no file).
        """
        if isinstance(ratios, str):
            meant = [ratio.strip() for ratio in ratios.split(",")]
            raise UsageError(f"ratios is a list of shapes, for instance {meant}")
        if not isinstance(top_k, int | np.integer) or isinstance(top_k, bool) or top_k < 1:
            raise UsageError(f"top_k must be a whole number, at least 1, not {top_k!r}")
        if not isinstance(ratios, Iterable):
            raise UsageError(f"ratios is a list of shapes, not {ratios!r}")
        shapes = [parse_shape(ratio) for ratio in ratios]
        if not shapes:
            return []
        refuse_too_many(len(shapes))
        photo = photo_of(image, self._decode)
        (seen,) = self._engine.see([photo if self._trims else photo.with_borders()])
        found = self._engine.choose(seen, shapes, top_k)
        names = [item.name for item in fields(Crop)]
        return [Crop(**{name: getattr(one, name) for name in names}) for one in found.crops]

    def score(self, image: ImageLike, boxes_px: ArrayLike) -> NDArray[np.float32]:
        """Score each box [N, 4] in source pixels after orientation, higher is better: [N].

        Boxes are rounded to whole pixels, at least 1 px per side, and clipped to the photo, as
        crops are. The whole photo is seen, so scores compare with those of `crop` where it has no
        borders, or with borders="keep".
        Raises UsageError for boxes that are not [N, 4], finite, and with x0 < x1 and y0 < y1, or
        of which nothing is inside the photo; for the photo itself as `crop`.
        """
        boxes = as_numbers(boxes_px)
        if boxes.size == 0:
            return np.zeros(0, np.float32)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise UsageError("boxes_px must be [N, 4]: x0, y0, x1, y1 in source pixels")
        _refuse(~np.isfinite(boxes), "has a number that is not finite")
        _refuse(boxes[:, :2] >= boxes[:, 2:], "has no area: give x0 < x1 and y0 < y1")
        (seen,) = self._engine.see([replace(photo_of(image, self._decode), content_px=None)])
        wide, high = seen.size_wh
        _refuse(
            (boxes[:, :2] >= seen.size_wh) | (boxes[:, 2:] <= 0),
            f"is outside the photo, which has {wide} x {high} pixels after orientation",
        )
        return self._engine.score(seen, to_whole_pixels(boxes, *seen.size_wh))


def _refuse(wrong: NDArray[np.bool_], problem: str) -> None:
    """Raise UsageError that names the first of the boxes [N, …] of which anything is wrong."""
    if wrong.any():
        first = int(wrong.any(axis=1).argmax())
        raise UsageError(f"box {first} in boxes_px {problem}")


def _check_detects(detector: str | Detector) -> None:
    """Raise UsageError for a detector that needs an input list or has no method `detect`."""
    from pipeline.detectors.given_boxes import GivenBoxes

    named = isinstance(detector, str) and detector.partition(":")[0] == GIVEN
    if named or isinstance(detector, GivenBoxes):
        raise UsageError(
            f"the detector {GIVEN!r} looks boxes up by a job's input list, and Cropper has none: "
            "give a Detector (see pipeline.detectors), an object whose `detect` returns your "
            f"boxes, or {EMBEDDED!r}, which finds some"
        )
    if not isinstance(detector, str) and not callable(getattr(detector, "detect", None)):
        raise UsageError(f"a detector is a name or has a method `detect`, not {detector!r}")
