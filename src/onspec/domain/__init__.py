"""Frozen, validated values and the one exception tree. A value that exists is valid."""

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
    OnspecError,
    RecipeError,
    RulesError,
    SplitError,
    UnexpectedImageError,
    UnreadableImageError,
    UsageError,
)
from onspec.domain.sample import Annotation, Ellipse, MaskFile, Sample, Split
from onspec.domain.score_map import ScoreMap
from onspec.domain.verdict import Decision, Inspection, Verdict

__all__ = [
    "Annotation",
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
    "OnspecError",
    "RecipeError",
    "RulesError",
    "Sample",
    "ScoreMap",
    "Split",
    "SplitError",
    "UnexpectedImageError",
    "UnreadableImageError",
    "UsageError",
    "Verdict",
]
