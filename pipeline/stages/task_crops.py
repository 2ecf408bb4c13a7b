"""Collect the crops and previews of one task's photos while the last stage makes them."""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from pipeline.ledger.promotion.crop_files import run_prefix
from pipeline.photo.animations.animation import Animation
from pipeline.settings import Settings
from pipeline.stages.encode import encoded_crops
from pipeline.stages.preview import preview_of
from pipeline.stages.same_bytes import crop_for, preview_for
from pipeline.stages.task import EncodedCrop, PhotoRow, Preview
from pipeline.stages.worker import Job, decoder_for


class TaskCrops:
    """The crops and previews of one task so far."""

    def __init__(self, job: Job) -> None:
        self._job, self._settings = job, job.settings
        self._crops: dict[str, list[EncodedCrop]] = {}  # by image_id, as are the previews
        self._previews: dict[str, Preview] = {}

    def make(self, row: PhotoRow) -> None:
        """Encode a photo's chosen crops and its preview. Raises EncodeError, DecodeError."""
        thumbnails, side = self._settings.thumbnails, self._settings.running.preview
        crops = row.encoded
        if crops is None:
            frames = partial(frames_of, settings=self._settings)
            crops = encoded_crops(row, thumbnails, self._settings.cropping.areas, frames)
        crops = self._with_keys(row, crops)
        if side:
            shown = row.preview or preview_of(row, side, thumbnails.is_automatic)
            self._previews[row.image_id] = shown
        self._crops[row.image_id] = crops  # last: a photo that fails has no crops

    def share(self, row: PhotoRow) -> None:
        """Give a photo the crops and the preview of the photo `same_as`, which has its bytes."""
        first = str(row.same_as)
        crops = [crop_for(row, crop) for crop in self._crops[first]]
        self._crops[row.image_id] = self._with_keys(row, crops)
        if first in self._previews:
            self._previews[row.image_id] = preview_for(row, self._previews[first])

    def take(self, rows: Iterable[PhotoRow]) -> tuple[list[EncodedCrop], list[Preview]]:
        """Return the crops and previews of the photos, in their order, and drop them here."""
        names = [row.image_id for row in rows]
        crops = [crop for name in names for crop in self._crops.pop(name, ())]
        return crops, [self._previews.pop(name) for name in names if name in self._previews]

    def _with_keys(self, row: PhotoRow, crops: list[EncodedCrop]) -> list[EncodedCrop]:
        if not self._settings.thumbnails.crop_files:
            return crops
        return [with_key(self._job, row, crop) for crop in crops]


def frames_of(data: bytes, settings: Settings) -> Animation:
    """Decode every frame of a file in the decoding child. Raises DecodeError."""
    decoder = decoder_for(settings.decoding.limits, settings.thumbnails.colour)
    return decoder.decode_frames(data, settings.decoded_side)


def with_key(job: Job, row: PhotoRow, crop: EncodedCrop) -> EncodedCrop:
    """Return a crop with the key of its own object, and its name if there is a template.

    The key consists of the content's hash, or of the run's id and the name from the template.
    Writing it is therefore idempotent.
    """
    names = job.settings.thumbnails.crop_names
    if crop.sha256 is None or crop.format is None:
        raise ValueError(f"the crop {crop.chosen.ratio} of {crop.uri} is not encoded")
    if names is None:
        return replace(crop, file=f"crops/{crop.sha256[:2]}/{crop.sha256}.{crop.format}")
    chosen = crop.chosen
    about = (row.uri, row.image_id, row.pass_through)
    name = names.name(*about, chosen.ratio, chosen.rank, crop.format, crop.sha256)
    return replace(crop, file=run_prefix(job.run_id) + name, name=name)
