"""The settings of crops and their encoding. With those in `decoding.py` they identify a run.

A new field must not change the identity of earlier runs: their specs lack it, so they would no
longer cover any photo. Its `before` (see `pipeline.options.option`) is the value that reproduces
the results from before the field existed; at that value it is left out of the identity. If its
default gives other results, the photos of old runs are processed again, as they should be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.crop_names import CropNames, parse_crop_names
from pipeline.errors import SettingError, UsageError, naming
from pipeline.options import MOST_SIDE, check, option
from pipeline.photo.encoding.automatic import AUTO, OPAQUE, OTHER
from pipeline.photo.encoding.jpegli import check_jpegli
from pipeline.settings.guards import (
    DEFAULT_FALLBACK,
    DEFAULT_PROFILE,
    FALLBACKS,
    PROFILES,
    Fallback,
    Guards,
    parse_fallback,
    parse_guards,
)
from pipeline.settings.safe_areas import ANY_SHAPE, SafeArea, parse_safe_areas
from pipeline.shapes import Shape, parse_shapes


@dataclass(frozen=True)
class CroppingSettings:
    """Which crops are made, and how they are chosen."""

    ratios: str = option(
        "1:1,4:3,16:9,9:16,3:4,circle",
        "comma-separated shapes, at most 100: any W:H, `circle`, `free`",
        placeholder="SHAPES",
    )
    top_k: int = option(
        1, "number of clearly different crops a shape, best first", placeholder="CROPS", least=1
    )
    search: Literal["coarse", "exhaustive"] = option(
        "coarse", "score the most promising candidates, or all of them"
    )
    rank_by: Literal["overlap", "score"] = option(
        "overlap",
        "choose the crop that is expected to agree best with what people keep and look at, with "
        "heads and text whole; or the crop with the network's highest score",
    )
    backbone: Literal["auto", "shared", "own"] = option(
        "own",
        "source of S2CNet's features: its own backbone, as published; or, with the packaged "
        "weights, one shared with the embedded detector, in .85 of the time for detecting and "
        "choosing; `auto`: shared if possible, unless the score alone decides",
        before="own",
    )
    precision: Literal["float32", "float16", "bfloat16"] = option(
        "float32",
        "of the largest matrix products, and on a GPU also of the backbone; 16 bits are faster on "
        "a GPU, on CPUs with AMX and, only bfloat16, on AMD CPUs that have it; they change scores "
        "by about 1 % of their spread",
    )
    candidates: bool = option(False, "also write a table of the scored candidates")
    long_photos: Literal["auto", "look", "top", "pad"] = option(
        "auto",
        "for photos beyond 1:2.5, crop the part that people look at most or the top (the left end "
        "of wide ones), or pad the whole; `auto`: the top of screenshots, else the part looked at",
        before="look",
    )
    text_heavy: Literal["pad", "crop"] = option(
        "pad", "keep pages of text whole, or crop them like photos", before="crop"
    )
    guards: str = option(
        DEFAULT_PROFILE,
        f"what no crop may do: a profile ({', '.join(PROFILES)}), then changes to it such as "
        "`heads=0.1,text=cut,subject=0.5` or `heads=off`; see docs/GUARDS.md",
        placeholder="GUARDS",
        before="off",
    )
    fallback: str = option(
        DEFAULT_FALLBACK,
        f"what to try, in order, if no candidate passes the guards: {', '.join(FALLBACKS)} (at "
        "most one of the last three, in last place), or `none`; a crop that still breaks a guard "
        "has the verdict `review`",
        placeholder="FALLBACKS",
        before=DEFAULT_FALLBACK,  # without guards nothing falls back
    )
    safe_areas: str = option(
        "",
        "what covers the crops of a shape, in shares of their sides, for instance "
        "`16:9=caption:0,0.8,1,1;1:1=badge:0.75,0.75,1,1`, or `1:1=circle`",
        placeholder="AREAS",
        before="",
    )

    review_below: float = option(
        0.3,
        "crops with less confidence have the verdict `review`; 0 for none",
        placeholder="CONFIDENCE",
        least=0,
        most=1,
        before=0.0,
    )

    def __post_init__(self) -> None:
        check(self)
        unknown = self.areas.keys() - {ANY_SHAPE, *(shape.name for shape in self.shapes)}
        _ = self.guarded, self.fallbacks
        if unknown:
            names = ", ".join(sorted(unknown))
            raise SettingError("safe_areas", f"names {names}, which is not among ratios")

    def canonical(self) -> "CroppingSettings":
        """Return the settings in canonical form: equivalent guards and fallbacks compare equal."""
        return replace(self, guards=str(self.guarded), fallback=",".join(self.fallbacks) or "none")

    @property
    def guarded(self) -> Guards:
        """`guards`, parsed. Raises SettingError."""
        return parse_guards(self.guards)

    @property
    def fallbacks(self) -> tuple[Fallback, ...]:
        """`fallback`, parsed. Raises SettingError."""
        return parse_fallback(self.fallback)

    @property
    def areas(self) -> Mapping[str, SafeArea]:
        """`safe_areas`, parsed, by shape name. Raises SettingError."""
        return parse_safe_areas(self.safe_areas)

    @property
    def shapes(self) -> list[Shape]:
        """`ratios`, parsed. Raises SettingError for text that names no shape."""
        with naming("ratios"):
            return parse_shapes(self.ratios)


@dataclass(frozen=True)
class ThumbnailSettings:
    """How crops are encoded."""

    thumbnail_size: int = option(
        512,
        "longest side of an encoded crop; smaller crops keep their size",
        "px",
        least=1,
        most=MOST_SIDE,
    )
    format: Literal["auto", "webp", "jpeg", "png", "avif"] = option(
        AUTO,
        "encoding of the crops; `auto`: the cheapest one for each crop, JPEG by jpegli if it is an "
        "opaque, still sRGB photo and not small, else WebP; without the extra `jpegli`, always "
        "WebP",
    )
    quality: int = option(
        80,
        "encoder quality, 1 to 100; png ignores it; with `format` auto it is WebP's, and JPEG gets "
        "the equivalent from a table",
        least=1,
        most=100,
    )
    jpeg_encoder: Literal["pillow", "jpegli"] = option(
        "pillow",
        "encoder for jpeg, ignored for other formats: Pillow, or jpegli, whose files are a tenth "
        "smaller at the same quality and take less time (extra `jpegli`)",
        before="pillow",
    )
    colour: Literal["srgb", "keep"] = option(
        "srgb",
        "colours of the crops: sRGB without a profile, or for still photos with wider colours "
        "(Display P3, Adobe RGB or BT.2020) those, with a profile; the choice of crops is the same",
        before="srgb",
    )
    background: str = option(
        "ffffff",
        "colour around a photo that is shown whole (`pad`), and behind a circle in jpeg; six hex "
        "digits",
        placeholder="RRGGBB",
    )
    crop_files: bool | str = option(
        False,
        "also write every crop as its own object, named by its content or by a template such as "
        "`{folder}/{stem}/{ratio}.{format}`; see docs/EXPORT.md",
        placeholder="TEMPLATE",
        alone=True,
    )
    picture_column: Literal["bytes", "struct"] = option(
        "bytes",
        "type of the pictures in the table of crops: plain bytes, or bytes and path, which Hugging "
        "Face `datasets` shows as pictures from any store; see docs/ENGINES.md",
        before="bytes",
    )
    boxes_only: bool = option(
        False,
        "only decide, encode no crops: the tables have boxes and verdicts for `runs.py export`",
        before=False,
    )

    def __post_init__(self) -> None:
        check(self)
        _ = self.background_rgb, self.crop_names
        if self.boxes_only and self.crop_files:
            raise SettingError("boxes_only", "encodes no crops that --crop-files could write")

    def canonical(self) -> "ThumbnailSettings":
        """Return the settings; with `boxes_only`, the encoding settings have fixed values."""
        if not self.boxes_only:
            return self
        # Not the current defaults: runs made under earlier defaults must stay the same runs.
        return ThumbnailSettings(self.thumbnail_size, format="webp", boxes_only=True)

    def check_packages(self) -> None:
        """Raise SettingError if a package that encoding needs is missing."""
        field = "format" if self.is_automatic else "jpeg_encoder"
        if self.is_automatic or (self.format == "jpeg" and self.jpeg_encoder == "jpegli"):
            try:
                check_jpegli()
            except UsageError as error:
                raise SettingError(field, f"{self.format}: {error}") from error

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats that the crops may have."""
        return (OPAQUE, OTHER) if self.is_automatic else (self.format,)

    @property
    def is_automatic(self) -> bool:
        """Whether each crop is encoded in the cheapest format for it."""
        return self.format == AUTO

    @property
    def crop_names(self) -> CropNames | None:
        """`crop_files`, parsed, if it is a template; else None. Raises SettingError."""
        return parse_crop_names(self.crop_files) if isinstance(self.crop_files, str) else None

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        """Red, green and blue, 0 to 255 each. Raises SettingError."""
        try:
            red, green, blue = bytes.fromhex(self.background.removeprefix("#"))
        except ValueError:
            raise SettingError(
                "background", "must be six hex digits, for instance ffffff"
            ) from None
        return red, green, blue
