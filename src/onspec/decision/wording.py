"""Rules in words, as they are read aloud."""

from collections.abc import Iterator

from onspec.decision.conditions import Condition
from onspec.decision.inspectability import Gate
from onspec.decision.rules import NO_RULES, Rule

_TONES = {"bright": "brighter", "dark": "darker"}


def in_words(rule: Rule) -> str:
    """`NG for more than 3 defects with area_px >= 4`."""
    condition = condition_words(rule.when)
    which = f" {condition}" if condition else ""
    grade = f", grade {rule.grade}" if rule.grade is not None and rule.outcome != "GRADE" else ""
    if rule.outcome == "OK":
        return f"OK: a defect{which} is accepted, and not seen by the rules below{grade}"
    if rule.outcome == "GRADE":
        return f"grade {rule.grade} for a defect{which}"
    return f"{rule.outcome} for {' or '.join(_amounts(rule, which))}{_scope(rule)}{grade}"


def default_in_words(default: Rule | None) -> str:
    """What holds of defects that no rule is about; `None` where they are accepted."""
    if default is NO_RULES:
        return "NG for any defect"
    return f"{'OK' if default is None else default.outcome} for a defect that no rule is about"


def gate_in_words(gate: Gate) -> str:
    """What becomes of an image that does not look like those of the training."""
    told = {"review": "an OK becomes REVIEW", "error": "ERROR", "accept": "it is judged like any other"}[gate.outside]
    return f"an image outside of these limits is not inspectable: {told}"


def condition_words(condition: Condition) -> str:
    """`of class scratch, with length_mm >= 3`; empty where every defect is meant."""
    return ", ".join(_parts(condition))


def _parts(condition: Condition) -> Iterator[str]:
    named = {"of class": condition.cls, "of grade": condition.grade, "in zone": condition.zone}
    yield from (f"{how} {' or '.join(names)}" for how, names in named.items() if names)
    if condition.inside:
        yield f"wholly inside {' or '.join(condition.inside)}"
    if condition.tone is not None:
        yield f"{_TONES[condition.tone]} than what is around it"
    limits = [f"{limit.measure} {limit.relation} {_value(limit.value)}" for limit in condition.limits]
    if limits:
        yield f"with {' and '.join(limits)}"
    if condition.all_of:
        yield " and ".join(_bracketed(inner) for inner in condition.all_of)
    if condition.any_of:
        yield f"either {' or '.join(_bracketed(inner) for inner in condition.any_of)}"
    if condition.none_of is not None:
        yield f"not {_bracketed(condition.none_of)}"


def _bracketed(condition: Condition) -> str:
    return f"({condition_words(condition) or 'any'})"


def _value(value: float | tuple[float, float]) -> str:
    return f"{value[0]:g}…{value[1]:g}" if isinstance(value, tuple) else f"{value:g}"


def _amounts(rule: Rule, which: str) -> Iterator[str]:
    for figure, limit in rule.limits.items():
        if figure == "count":
            yield f"any defect{which}" if limit == 0 else f"more than {limit:g} defects{which}"
        else:
            yield f"more than {limit:g} {figure.removeprefix('total_area_')} of defects{which}"


def _scope(rule: Rule) -> str:
    if rule.scope is None:
        return ""
    (how, unit), amount = rule.scope[0].split("_"), rule.scope[1]
    if how == "within":
        return f", within {amount:g} {unit} of one of them"
    where = f"of {' and '.join(rule.when.zone)}" if rule.when.zone else "of the image"
    return f", for every {amount:g} {unit} {where}"
