"""Public import path of the agreement measures, defined in `pipeline.lab.evaluation.metrics`."""

from pipeline.boxes import iou
from pipeline.lab.evaluation.metrics import acc, acc_weighted, bde, mean_acc, pcc, srcc

__all__ = ["acc", "acc_weighted", "bde", "iou", "mean_acc", "pcc", "srcc"]
