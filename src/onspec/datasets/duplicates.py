"""Images that stand in a set twice, byte by byte or almost: what that means for labels, parts and splits."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from onspec.datasets.differences import differ_at_marks
from onspec.datasets.near_copies import groups_alike
from onspec.datasets.problem import Problem, named, new_problem
from onspec.datasets.sample_facts import SampleFacts
from onspec.domain import Sample
from onspec.imaging.camera import AS_STORED, Camera

Found = Mapping[Sample, SampleFacts]

_OVERLAP = 0.1
"""Marks on two pictures of one part that share less than this (IoU of the shrunk marks) are different labels."""

_COMPARED = 8
"""Images of a group whose labels are compared with the first one's."""


def duplicate_problems(found: Found, camera: Camera = AS_STORED) -> Iterator[Problem]:
    """Files with the same bytes, then images that look almost the same."""
    copies = _copies(found)
    for group in copies:
        yield from _same(group, found)
    doubled = {sample.name for group in copies for sample in group[1:]}
    for group in _near(found, doubled):
        yield from _alike(group, found, camera)


def _copies(found: Found) -> list[list[Sample]]:
    by_content: defaultdict[bytes, list[Sample]] = defaultdict(list)
    for sample, facts in found.items():
        if facts.size is not None:
            by_content[facts.content].append(sample)
    return [sorted(group, key=lambda s: s.name) for group in by_content.values() if len(group) > 1]


def _near(found: Found, doubled: set[str]) -> list[list[Sample]]:
    """Groups of images that look almost the same; of files with the same bytes one stands for all."""
    rows, small, shapes = [], [], []
    for sample, facts in found.items():
        if facts.look is not None and facts.look.small is not None and facts.size and sample.name not in doubled:
            rows.append(sample)
            small.append(facts.look.small)
            shapes.append(facts.size[0] / facts.size[1])
    groups = groups_alike(np.array(small), shapes) if small else []
    return [[rows[n] for n in group] for group in groups]


def _same(group: Sequence[Sample], found: Found) -> Iterator[Problem]:
    first, files, rest = group[0].name, [s.name for s in group], named([s.name for s in group[1:]])
    if len({found[s].label_digest for s in group}) > 1:
        text = f"{first} is the same file as {rest}, but their labels differ"
        yield new_problem("error", "duplicate-labels", files, text, "keep the one with the right label")
    else:
        text = f"{first} is the same file as {rest}"
        yield new_problem("warning", "duplicate", files, text, "keep one; copies only weigh it more")
    if crossing := _crossing(group):
        text = f"{first} stands in {group[0].split} and, as {crossing.name}, in {crossing.split}"
        advice = "keep it in one split, or figures come out too good"
        yield new_problem("error", "duplicate-in-splits", files, text, advice)


def _alike(group: Sequence[Sample], found: Found, camera: Camera) -> Iterator[Problem]:
    """Views of one part are no news, unless their labels contradict each other."""
    first, files, rest = group[0], [s.name for s in group], named([s.name for s in group[1:]])
    contrary = next((s for s in group[1 : _COMPARED + 1] if _contradict(first, s, found, camera)), None)
    if contrary is not None:
        text = (
            f"{first.name} ({_said(first)}) looks almost the same as {contrary.name} ({_said(contrary)}), "
            "but their labels differ"
        )
        advice = "look at both: if they show one part, one label is wrong"
        pair = [first.name, contrary.name, *(name for name in files if name not in (first.name, contrary.name))]
        yield new_problem("warning", "near-duplicate-labels", pair, text, advice)
    parts = len({s.part for s in group})
    if parts == 1:
        return
    if crossing := _crossing(group):
        text = f"{first.name} stands in {first.split}, and {crossing.name} in {crossing.split} looks almost the same"
        advice = "if they show one part, keep them in one split, or figures come out too good"
        yield new_problem("warning", "near-duplicate-in-splits", files, text, advice)
    elif contrary is None or len(group) > 2:
        text = f"{first.name} looks almost the same as {rest}; taken for {parts} parts"
        advice = (
            "if they show one part, say so by a column part in split.csv or --part-pattern; of mere copies keep one"
        )
        yield new_problem("warning", "near-duplicate", files, text, advice)


def _crossing(group: Sequence[Sample]) -> Sample | None:
    """The first that stands in another split than the first of all."""
    return next((s for s in group if s.split is not group[0].split), None)


def _contradict(one: Sample, other: Sample, found: Found, camera: Camera) -> bool:
    """Different labels that nothing in the pictures explains."""
    return _differ(one, other, found) and not differ_at_marks(one, other, camera)


def _differ(one: Sample, other: Sample, found: Found) -> bool:
    if one.defective is not other.defective:
        return True
    if not one.defective:
        return False
    if _classes(one) != _classes(other):
        return True
    a, b = found[one].marks, found[other].marks
    if not a or not b:
        return False
    here, there = (np.unpackbits(np.frombuffer(marks, np.uint8)) for marks in (a, b))
    return float((here & there).sum()) < _OVERLAP * float((here | there).sum())


def _classes(sample: Sample) -> tuple[str, ...]:
    return tuple(sorted({a.cls for a in sample.annotations})) or ((sample.cls,) if sample.cls else ())


def _said(sample: Sample) -> str:
    return ", ".join(_classes(sample)) or sample.truth if sample.defective else "good"
