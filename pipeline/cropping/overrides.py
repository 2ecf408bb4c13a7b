"""Define a person's instruction for one photo, which the engine obeys before anything else.

`pipeline.inputs` reads and matches overrides; `pipeline.cropping` only applies them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.shapes import parse_shape


@dataclass(frozen=True)
class Override:
    """A person's instruction for one photo, or a rule for its kind. The rest is chosen as usual.

    name: its pattern or uri, for the columns `override`; empty for a focus of the input list
        and for a rule.
    boxes_px: by shape name, the box that is taken as it is: x0, y0, x1, y1 in source pixels after
        orientation; parts outside the photo are cut off. A box entirely outside is ignored, and the
        crop that is chosen instead is to be reviewed.
    focus_rel: (x, y), shares of the photo's sides. A shape without a box gets its largest crop,
        moved so that this point is as central as the photo allows.
    is_listed_focus: whether focus_rel is from the input list although a person has decided the
        rest; for the column `focus_source`.
    never_crop: a shape without a box shows the whole photo on a background (`fit` pad). It takes
        precedence over focus_rel.
    reason: for a rule about a kind of photo, the value of the column `reason`; the verdict is then
        `fallback`. None: a person decided, and the verdict is `ok`.
    """

    name: str
    focus_rel: tuple[float, float] | None = None
    boxes_px: Mapping[str, tuple[float, float, float, float]] = field(default_factory=dict)
    never_crop: bool = False
    reason: str | None = None
    is_listed_focus: bool = False

    def within(self, part: tuple[int, int, int, int], sides: tuple[int, int]) -> "Override":
        """Convert the override to a part of the photo that is treated as a photo of its own.

        part: xyxy in source pixels of the photo; sides: the photo's (width, height).
        """
        x0, y0, x1, y1 = part
        boxes = {
            ratio: (box[0] - x0, box[1] - y0, box[2] - x0, box[3] - y0)
            for ratio, box in self.boxes_px.items()
        }
        focus = self.focus_rel
        if focus is not None:
            x, y = focus[0] * sides[0], focus[1] * sides[1]
            focus = (
                min(1.0, max(0.0, (x - x0) / (x1 - x0))),
                min(1.0, max(0.0, (y - y0) / (y1 - y0))),
            )
        return replace(self, boxes_px=boxes, focus_rel=focus)

    @classmethod
    def of_text(cls, text: str | None) -> "Override | None":
        """Read the value of the pinned column `override` (`pipeline.inputs.overrides`)."""
        if text is None:
            return None
        values = json.loads(text)
        return cls(
            name=values["name"],
            focus_rel=tuple(values["focus"]) if "focus" in values else None,
            boxes_px={
                parse_shape(ratio).name: tuple(box)
                for ratio, box in values.get("boxes", {}).items()
            },
            never_crop=values.get("never_crop", False),
            is_listed_focus=values.get("listed_focus", False),
        )
