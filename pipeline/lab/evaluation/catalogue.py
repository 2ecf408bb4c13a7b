"""Names, meanings and directions of all measures and methods, for reports."""

from dataclasses import dataclass

from pipeline.lab.evaluation.metrics import KS, NS
from pipeline.lab.evaluation.violations import KINDS

OURS, NETWORK = "s2cnet", "network_score"
OTHER_PERSON, CONSENSUS, BEST = "other_person", "other_people", "best_possible"

METHODS = {
    OURS: "this run's choice",
    NETWORK: "S2CNet's score alone",
    "gaic": "GAIC network",
    "focalnet": "FocalNet",
    "centre": "centre crop",
    "centre_90": "centre crop, 90 %",
    "largest": "largest crop",
    "anchor_prior": "anchor prior",
    "attention": "libvips attention",
    "entropy": "libvips entropy",
    "smartcrop_js": "smartcrop.js",
    OTHER_PERSON: "one other person",
    CONSENSUS: "the others' mean crop",
    BEST: "best possible",
}
"""Every method of a report, in its order."""


@dataclass(frozen=True)
class Measure:
    """A figure of a photo. lower: lower is better. per_shape: also reported for each shape."""

    name: str
    meaning: str
    lower: bool = False
    per_shape: bool = False
    unit: str = ""
    digits: int = 3  # after the decimal point
    on_page: bool = True  # else only in the JSON


MEASURES = {
    "iou": Measure("IoU", "overlap with each person's crop, at that person's ratio"),
    "bde": Measure("BDE", "boundary displacement, a share of the side", lower=True),
    "free_iou": Measure("IoU, free", "crop of free shape against the nearest person's"),
    "free_bde": Measure("BDE, free", "the same for the boundary displacement", lower=True),
    "srcc": Measure("SRCC", "rank correlation of scores, per photo"),
    "pcc": Measure("PCC", "linear correlation of scores, per photo"),
    "acc5": Measure("Acc5", "share of the 1 to 4 best crops that are among people's 5 best"),
    "acc10": Measure("Acc10", "the same for people's 10 best"),
    "accw5": Measure("Acc5, weighted", "Acc5 that counts the order"),
    "accw10": Measure("Acc10, weighted", "Acc10 that counts the order"),
    **{
        f"acc{k}_{n}": Measure(f"Acc {k}/{n}", "share of the k best among n", on_page=False)
        for n in NS
        for k in KS
    },
    "mos_of_best": Measure("MOS of best", "people's mean score of the crop put first"),
    "gaze_kept": Measure("gaze kept", "share of people's fixations inside", per_shape=True),
    "heads_out": Measure("heads cut or lost", "share of all heads", lower=True, per_shape=True),
    "heads_cut": Measure("heads cut", "share of all heads", lower=True, per_shape=True),
    "heads_lost": Measure("heads lost", "share of all heads", lower=True, per_shape=True),
    "copies_same": Measure("copies cropped alike", "IoU of .9 or more", per_shape=True),
    "copies_apart": Measure("copies cropped apart", "IoU below .6", lower=True, per_shape=True),
    "copies_iou": Measure("IoU of copies", "their crops against the photo's", per_shape=True),
    **{
        kind: Measure(kind, "violations", lower=True, unit="per 100 crops", digits=1)
        for kind in KINDS
    },
    "any violation": Measure(
        "any violation",
        "crops with a violation",
        lower=True,
        per_shape=True,
        unit="per 100 crops",
        digits=1,
    ),
}
"""Every measure of a report, in its order. Of one shape: `shape_key(measure, shape)`."""


def shape_key(measure: str, shape: str) -> str:
    """Return the key of a measure at one shape."""
    return f"{measure} {shape}"


def measure_of(key: str) -> Measure:
    """Return the measure of a key, also of a key at one shape."""
    return MEASURES[key] if key in MEASURES else MEASURES[key.rpartition(" ")[0]]


def shape_of(key: str) -> str:
    """Return the shape of a key; empty where it has none."""
    return "" if key in MEASURES else key.rpartition(" ")[2]
