"""Figures that others published, for comparison. None of them was measured here."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Published:
    """One row of a published table. values: measure -> figure, in the report's units."""

    method: str
    source: str
    values: dict[str, float] = field(default_factory=dict)


S2CNET_PAPER = "Su et al., AAAI 2024"

FIGURES: dict[str, list[Published]] = {
    "gaicv1": [
        Published("S2CNet", S2CNET_PAPER, {"srcc": 0.793, "acc5": 0.610, "acc10": 0.781}),
        Published(
            "GAIC, MobileNetV2",
            "Zeng et al., TPAMI 2020",
            {"srcc": 0.783, "acc5": 0.572, "acc10": 0.755},
        ),
    ],
    "gaicv2": [
        Published("S2CNet", S2CNET_PAPER, {"srcc": 0.861, "acc5": 0.640, "acc10": 0.827}),
        Published("SFRC", "CVPR 2023", {"srcc": 0.872, "acc5": 0.648, "acc10": 0.833}),
        Published(
            "GAIC, MobileNetV2",
            "Zeng et al., TPAMI 2020",
            {"srcc": 0.849, "acc5": 0.631, "acc10": 0.816},
        ),
    ],
    "ugcrop5k": [
        Published("S2CNet", S2CNET_PAPER, {"srcc": 0.502, "acc5": 0.608, "acc10": 0.721}),
    ],
    "flms": [
        Published("CACNet", "Hong et al., CVPR 2021", {"free_iou": 0.854, "free_bde": 0.033}),
    ],
    "fcdb": [
        Published("CACNet", "Hong et al., CVPR 2021", {"free_iou": 0.718, "free_bde": 0.069}),
    ],
}


def published_for(dataset: str) -> list[Published]:
    """Return the published figures for a data set; most have none."""
    return FIGURES.get(dataset, [])
