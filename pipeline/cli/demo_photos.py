"""The demo's photos: those in a folder, or ten that ship with packages; uploaded to a bucket."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import SettingError
from pipeline.words import counted

if TYPE_CHECKING:
    from pipeline.cli.local_services import S3Server

PHOTO_BUCKET, THUMBNAIL_BUCKET = "photos", "thumbnails"
PHOTO_SUFFIXES = {
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".avif", ".heic", ".heif",
    ".tif", ".tiff", ".bmp",
}  # fmt: skip
# Real photographs that ship with two packages that the demo installs anyway.
PACKAGED_PHOTOS = {
    "skimage.data": (
        "astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png",
        "camera.png", "coins.png", "hubble_deep_field.jpg",
    ),
    "sklearn.datasets.images": ("china.jpg", "flower.jpg"),
}  # fmt: skip
NAMED = 3  # how many of the files that are left out are listed by name


@dataclass(frozen=True)
class DemoPhotos:
    """Files to show. left_out: files in the folder whose suffixes are not those of photos."""

    paths: tuple[Path, ...]
    left_out: tuple[Path, ...] = ()

    def __str__(self) -> str:
        """State how many photos there are, and which files are left out."""
        text = counted(len(self.paths), "photo")
        return text + (f"; left out: {named(self.left_out)}" if self.left_out else "")


def named(paths: tuple[Path, ...]) -> str:
    """List the first names, and how many more there are."""
    names = ", ".join(path.name for path in paths[:NAMED])
    more = len(paths) - NAMED
    return f"{names} and {more:,} more" if more > 0 else names


def photos_of(folder: Path | None) -> DemoPhotos:
    """Find the photos in `folder` and its subfolders, or without one those that ship with packages.

    Hidden files are skipped. Raises SettingError if there is no photo.
    """
    if folder is None:
        return DemoPhotos(
            tuple(
                Path(str(files(package) / name))
                for package, names in PACKAGED_PHOTOS.items()
                for name in names
            )
        )
    folder = folder.expanduser()  # `make demo PHOTOS=~/holiday`, which not every shell expands
    if not folder.is_dir():
        raise SettingError("photos", f"{folder} is not a folder: give one that holds photos")
    found = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    ]
    photos = tuple(path for path in found if path.suffix.lower() in PHOTO_SUFFIXES)
    if not photos:
        ends = ", ".join(sorted(PHOTO_SUFFIXES))
        raise SettingError("photos", f"{folder} holds no photo: give a folder of {ends} files")
    return DemoPhotos(photos, tuple(path for path in found if path not in set(photos)))


def upload(photos: DemoPhotos, s3: "S3Server") -> None:
    """Upload the photos to a bucket; files of the same name in several folders stay distinct."""
    import s3fs

    store = s3fs.S3FileSystem(
        endpoint_url=s3.endpoint_url,
        key=s3.environment["AWS_ACCESS_KEY_ID"],
        secret=s3.environment["AWS_SECRET_ACCESS_KEY"],
    )
    store.mkdir(PHOTO_BUCKET)
    store.mkdir(THUMBNAIL_BUCKET)
    for index, path in enumerate(photos.paths):
        store.pipe_file(f"{PHOTO_BUCKET}/{index:04d}-{path.name}", path.read_bytes())
