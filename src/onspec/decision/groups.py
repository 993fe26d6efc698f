"""What a rule limits of several defects together: their count and area, in one place, within a distance or per area."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onspec.decision.conditions import reaches
from onspec.decision.found import Found
from onspec.decision.meeting import Scene
from onspec.decision.rules import Rule
from onspec.domain import RulesError
from onspec.domain.fired import Ground

_MM2 = {"mm2": 1.0, "cm2": 100.0}


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A figure of several defects, and whether it is over its limit.

    Attributes:
        members: the defects that it is of.
        single: any defect at all is too many, so that the defect says more than the count.
    """

    ground: Ground
    members: tuple[Found, ...]
    exceeded: bool
    single: bool


def groups(rule: Rule, about: Sequence[Found], scene: Scene) -> tuple[Group, ...]:
    """The figures that a rejecting rule limits, over the defects that it is about; of the worst place for `within`.

    Raises:
        RulesError: a limit in mm without a pixel size.
    """
    if not rule.rejects:
        return ()
    return tuple(_group(rule, figure, limit, about, scene) for figure, limit in rule.limits.items())


def _group(rule: Rule, figure: str, limit: float, about: Sequence[Found], scene: Scene) -> Group:
    how, amount, unit = _scope(rule)
    value, members = _sum(figure, about), tuple(about)
    if how == "within":
        places = ((_sum(figure, near), near) for near in _neighbourhoods(about, scene, amount, unit))
        value, members = max(places, key=lambda place: place[0], default=(0.0, ()))
    elif how == "per":
        value *= amount / _area(rule, unit, scene)
    exceeded = not reaches(limit, value)
    return Group(
        Ground(
            measure=figure,
            figure=value,
            relation=">" if exceeded else "<=",
            limit=limit,
            scope=f"{how} {amount:g} {unit}" if how else "",
        ),
        members,
        exceeded,
        single=figure == "count" and limit == 0,
    )


def _scope(rule: Rule) -> tuple[str, float, str]:
    """`within`, 2.0, `mm`; an empty word for all of the image."""
    if rule.scope is None:
        return "", 0.0, ""
    how, unit = rule.scope[0].split("_")
    return how, rule.scope[1], unit


def _area(rule: Rule, unit: str, scene: Scene) -> float:
    """What is judged of the rule's zones, or of the image."""
    area = float(scene.site.areas[rule.when.zone or ()])
    if area == 0:
        raise RulesError(f"rule {rule.name} counts per area, and nothing is judged of its zones; correct the rules")
    if unit == "px":
        return area
    across, down = scene.site.sides("mm")
    return area * across * down / _MM2[unit]


def _neighbourhoods(about: Sequence[Found], scene: Scene, reach: float, unit: str) -> Iterator[tuple[Found, ...]]:
    """Each defect with those near it."""
    meant = set(about)
    for f in about:
        yield tuple(other for other in scene.near(f, reach, unit) if other in meant)


def _sum(figure: str, of: Sequence[Found]) -> float:
    if figure == "count":
        return float(len(of))
    return float(sum(_measure(f, figure.removeprefix("total_")) for f in of))


def _measure(f: Found, name: str) -> float:
    value = getattr(f.defect, name)
    if value is None:
        raise RulesError("the rules have limits in mm; give the recipe or the rules a pixel size (pixel_size_mm)")
    return float(value)
