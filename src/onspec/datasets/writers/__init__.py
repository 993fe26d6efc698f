"""The layouts that data sets can be written in. A new one costs a file here, a line in `WRITERS` and a test."""

from onspec.datasets.writers.base import Entry, Job, Remarks, Writer
from onspec.datasets.writers.coco import COCO
from onspec.datasets.writers.dagm import DAGM
from onspec.datasets.writers.folders import FOLDERS
from onspec.datasets.writers.labelme import LABELME
from onspec.datasets.writers.masks import MASKS
from onspec.datasets.writers.voc import VOC
from onspec.datasets.writers.yolo import YOLO

WRITERS: dict[str, Writer] = {w.name: w for w in (DAGM, MASKS, COCO, VOC, YOLO, LABELME, FOLDERS)}
"""Name → writer; each name is also one of `layouts.LAYOUTS`, which reads what it writes."""

__all__ = ["WRITERS", "Entry", "Job", "Remarks", "Writer"]
