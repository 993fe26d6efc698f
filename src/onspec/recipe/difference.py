"""What two recipes differ in, in the terms of the trade: rules by their names, thresholds by theirs, not bytes."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from onspec.decision.inspectability import Gate
from onspec.domain.look import Reference
from onspec.recipe import archive
from onspec.recipe.life import short
from onspec.recipe.package import Golden, Package
from onspec.recipe.reading import members_of

_SECTIONS: dict[str, str] = {
    "thresholds": "thresholds",
    "rules": "rules",
    "input": "input",
    "hastened": "model",
    "provenance.data": "data",
    "provenance.training": "training",
    "provenance.metrics": "metrics",
    "provenance": "origin",
    "version": "life",
    "parent": "life",
    "changes": "life",
}
"""Beginning of a path in recipe.json → section; everything else is about the part. The longest that fits wins."""

DECIDING = ("part", "input", "model", "thresholds", "rules", "reference")
"""Sections whose differences can change a verdict."""

ORDER = (*DECIDING, "members", "golden", "split", "data", "training", "metrics", "origin", "life", "approval")
"""In which sections are told."""

_NOTES = ("thresholds.basis",)
"""What stands in a section that decides, and is only a sentence about it."""

Leaves = dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same; `None` is not there on this side."""

    section: str
    what: str
    before: str | None
    after: str | None
    decides: bool = False

    @property
    def change(self) -> str:
        """`0.4 → 0.5`, `added: NG`, `removed`."""
        if self.before is None:
            return f"added: {self.after}" if self.after else "added"
        if self.after is None:
            return f"removed: {self.before}" if self.before else "removed"
        return f"{self.before} → {self.after}"

    def __str__(self) -> str:
        """One line of a log."""
        return f"{self.section}: {self.what}: {self.change}"


def differences(before: Package, after: Package) -> tuple[Difference, ...]:
    """Everything that differs, what decides verdicts first; empty for equal recipes, wherever their files lie."""
    found = [
        *_recipes(before, after),
        *_log(before, after),
        *_rules(before, after),
        *_models(before, after),
        *_references(before, after),
        *_golden(before.golden, after.golden),
        *_members(before, after),
        *_approvals(before, after),
    ]
    if not found and before.content != after.content:
        found = [Difference("members", "written otherwise", short(before.content), short(after.content))]
    return tuple(sorted(found, key=lambda difference: ORDER.index(difference.section)))


def _recipes(before: Package, after: Package) -> Iterator[Difference]:
    old, new = (_flat(package.recipe.model_dump(mode="json", by_alias=True)) for package in (before, after))
    for path in dict.fromkeys([*old, *new]):
        section = next(
            (_SECTIONS[start] for start in sorted(_SECTIONS, key=len, reverse=True) if _under(path, start)), "part"
        )
        if path == "changes" or _under(path, "rules") or _under(path, "reference"):  # told by entry and by name
            continue
        if old.get(path) != new.get(path):
            what = path.removeprefix("provenance.").removeprefix(f"{section}.")
            decides = section in DECIDING and path not in _NOTES
            yield Difference(section, what, _text(old.get(path)), _text(new.get(path)), decides)


def _log(before: Package, after: Package) -> Iterator[Difference]:
    """Entries of the change log that only one side has."""
    old, new = before.recipe.changes, after.recipe.changes
    for change in dict.fromkeys([*old, *new]):
        if (change in old) is not (change in new):
            told = f"{change.by or 'somebody'}: {change.note or 'no note'}"
            sides = (told, None) if change in old else (None, told)
            yield Difference("life", f"change of version {change.version}", *sides)


def _under(path: str, start: str) -> bool:
    return path == start or path.startswith(f"{start}.")


def _rules(before: Package, after: Package) -> Iterator[Difference]:
    """Rules and zones by name; one that is there on one side only is told whole."""
    old, new = (_named(package) for package in (before, after))
    for name in dict.fromkeys([*old, *new]):
        one, other = old.get(name), new.get(name)
        if one is None or other is None:
            yield Difference("rules", name, _whole(one), _whole(other), True)
            continue
        for path in dict.fromkeys([*one, *other]):
            if one.get(path) != other.get(path):
                what = f"{name}: {path}" if path else name
                yield Difference("rules", what, _text(one.get(path)), _text(other.get(path)), True)
    common = [[name for name in side if name in old and name in new] for side in (old, new)]
    if common[0] != common[1]:
        yield Difference("rules", "order", ", ".join(common[0]), ", ".join(common[1]), True)


def _named(package: Package) -> dict[str, Leaves]:
    """`rule NAME`, `zone NAME` and whatever else rules files say → what they hold, without what is not set."""
    tree = package.recipe.rules.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    named: dict[str, Leaves] = {}
    for key, value in tree.items():
        kind = key.removesuffix("s")
        if isinstance(value, list) and all(isinstance(entry, dict) and "name" in entry for entry in value):
            named |= {f"{kind} {e['name']}": _flat({k: v for k, v in e.items() if k != "name"}) for e in value}
        elif isinstance(value, dict) and all(isinstance(entry, dict) for entry in value.values()):
            named |= {f"{kind} {name}": _flat(entry) for name, entry in value.items()}
        else:
            named[key] = _flat(value) if isinstance(value, dict) else {"": value}
    return named


def _whole(leaves: Leaves | None) -> str | None:
    if leaves is None:
        return None
    return ", ".join(f"{path.removeprefix('when.')} {_text(value)}".strip() for path, value in leaves.items())


def _models(before: Package, after: Package) -> Iterator[Difference]:
    for name, old, new in (
        (archive.MODEL, before.model, after.model),
        (archive.COARSE, before.coarse, after.coarse),
    ):
        if old != new:
            known = [None if data is None else _digest(data) for data in (old, new)]
            yield Difference("model", name, known[0], known[1], True)


def _references(before: Package, after: Package) -> Iterator[Difference]:
    """What training showed, in the limits that follow from it; quantiles and pictures, for machines, by digest."""
    old, new = (package.recipe.reference for package in (before, after))
    if old == new:
        return
    sides = [{limit.measure: limit.span for limit in Gate(one, None).limits} for one in (old, new)]
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        if sides[0].get(name) != sides[1].get(name):
            yield Difference("reference", name, sides[0].get(name), sides[1].get(name), True)
    pictures = [None if one is None or one.picture is None else _digest(one.picture.encode()) for one in (old, new)]
    if pictures[0] != pictures[1]:
        yield Difference("reference", "picture", pictures[0], pictures[1], True)
    yield Difference("reference", "measured", _measured(old), _measured(new))


def _measured(reference: Reference | None) -> str | None:
    if reference is None:
        return None
    digest = _digest(reference.model_dump_json().encode())
    return f"{reference.images} images, {reference.scored} scores, {digest}"


def _golden(before: tuple[Golden, ...], after: tuple[Golden, ...]) -> Iterator[Difference]:
    old, new = ({golden.name: golden for golden in side} for side in (before, after))
    for name in sorted({*old, *new}):
        one, other = old.get(name), new.get(name)
        if one is None or other is None:
            yield Difference("golden", name, _expectation(one), _expectation(other))
            continue
        if one.data != other.data:
            yield Difference("golden", f"{name}: image", _digest(one.data), _digest(other.data))
        if one.expected != other.expected:
            yield Difference("golden", f"{name}: result", _expectation(one), _expectation(other))


def _expectation(golden: Golden | None) -> str | None:
    if golden is None:
        return None
    known = golden.expected
    if known is None:
        return "result not recorded"
    return f"{known.verdict}, score {known.score:.6f} ± {known.tolerance:g}"


def _members(before: Package, after: Package) -> Iterator[Difference]:
    """Members that nothing above speaks of, and who was used for what."""
    old, new = members_of(before), members_of(after)
    for name in sorted({*old, *new} - {archive.RECIPE, archive.MODEL, archive.COARSE, archive.APPROVAL}):
        if not name.startswith(archive.GOLDEN) and old.get(name) != new.get(name):
            section = "split" if name == archive.SPLIT else "members"
            one, other = (None if data is None else _digest(data) for data in (old.get(name), new.get(name)))
            yield Difference(section, name, one, other, section == "members")


def _approvals(before: Package, after: Package) -> Iterator[Difference]:
    if before.state is not after.state:
        yield Difference("approval", "state", str(before.state), str(after.state))
    elif before.approval != after.approval:
        one, other = (0 if p.approval is None else len(p.approval.steps) for p in (before, after))
        yield Difference("approval", "steps", f"{one}", f"{other}")
    if before.signed is not after.signed:
        signed = ("none", "present")
        yield Difference("approval", "signature", signed[before.signed], signed[after.signed])


def _flat(tree: Mapping[str, JsonValue], start: str = "") -> Leaves:
    """Nested mappings → `a.b.c` → value; lists are values."""
    leaves: Leaves = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= _flat(value, f"{start}{key}.")
        else:
            leaves[f"{start}{key}"] = value
    return leaves


def _text(value: JsonValue) -> str | None:
    """As a person reads it; `None` for what is not there."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list):
        return f"[{', '.join(_text(entry) or 'none' for entry in value)}]"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(entry) or 'none'}" for key, entry in value.items())
    return short(str(value))


def _digest(data: bytes) -> str:
    return short(f"sha256:{hashlib.sha256(data).hexdigest()}")
