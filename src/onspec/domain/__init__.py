"""Frozen, validated values and the one exception tree. A value that exists is valid."""

from onspec.domain.annotation import DEFECT, Annotation, Box, Ellipse, MaskFile, Polygon, RunLengths
from onspec.domain.defect import Defect
from onspec.domain.errors import (
    DataError,
    EngineError,
    EvidenceError,
    ImageError,
    IntegrityError,
    LabelError,
    LayoutError,
    MissingExtraError,
    NotInspectableError,
    OnspecError,
    PartNotFoundError,
    RecipeError,
    RecordError,
    RulesError,
    SplitError,
    UnexpectedImageError,
    UnreadableImageError,
    UsageError,
)
from onspec.domain.prediction import Prediction, ScoredBox
from onspec.domain.sample import Sample, Split
from onspec.domain.score_map import ScoreMap
from onspec.domain.task import Task
from onspec.domain.verdict import Decision, Inspection, Verdict

__all__ = [
    "DEFECT",
    "Annotation",
    "Box",
    "DataError",
    "Decision",
    "Defect",
    "Ellipse",
    "EngineError",
    "EvidenceError",
    "ImageError",
    "Inspection",
    "IntegrityError",
    "LabelError",
    "LayoutError",
    "MaskFile",
    "MissingExtraError",
    "NotInspectableError",
    "OnspecError",
    "PartNotFoundError",
    "Polygon",
    "Prediction",
    "RecipeError",
    "RecordError",
    "RulesError",
    "RunLengths",
    "Sample",
    "ScoreMap",
    "ScoredBox",
    "Split",
    "SplitError",
    "Task",
    "UnexpectedImageError",
    "UnreadableImageError",
    "UsageError",
    "Verdict",
]
