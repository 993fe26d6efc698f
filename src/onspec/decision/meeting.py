"""Whether a defect is one that a condition means, and on what grounds."""

import math
from collections.abc import Iterator, Mapping, Sequence

from onspec.decision.conditions import Condition, Limit
from onspec.decision.found import Found, Gaps, Site
from onspec.domain import RulesError
from onspec.domain.fired import Ground, Relation

_OPPOSITE: dict[Relation, Relation] = {">=": "<", "<=": ">", "in": "not in"}
_TO_DEFECT = "distance_to_defect_"


class Scene:
    """The defects that count at a time, and what is known of them.

    Attributes:
        grades: defect → the grade that rules gave it so far.
    """

    def __init__(self, found: Sequence[Found], site: Site) -> None:
        self.found, self.site = tuple(found), site
        self.grades: dict[Found, str] = {}
        self._places: Mapping[Found, int] = {f: place for place, f in enumerate(self.found)}
        self._gaps: dict[str, Gaps] = {}

    def gaps(self, unit: str) -> Gaps:
        """The distances between its defects, in px or mm."""
        if unit not in self._gaps:
            self._gaps[unit] = self.site.gaps(self.found, unit)
        return self._gaps[unit]

    def near(self, f: Found, reach: float, unit: str) -> list[Found]:
        """A defect and those no further from it than `reach`, in their order."""
        return [self.found[place] for place in self.gaps(unit).within(self._places[f], reach)]

    def figure(self, f: Found, measure: str) -> float:
        """A defect's measure; infinite for the distance to another defect where there is none.

        Raises:
            RulesError: it is not known, so that what asks for it cannot be applied.
        """
        if measure.startswith(_TO_DEFECT):
            return self.gaps(measure.removeprefix(_TO_DEFECT)).nearest(self._places[f])
        value = getattr(f.defect, measure)
        if value is None:
            raise RulesError(
                f"the rules ask for {measure} of the defect at ({f.defect.bbox[0]}, {f.defect.bbox[1]}), which cannot "
                f"be told: {_unknown(measure)}"
            )
        return abs(float(value)) if measure == "contrast" else float(value)


def meets(f: Found, condition: Condition, scene: Scene) -> bool:
    """Whether a defect is one that a condition means."""
    return (
        all(holds for _, holds in _properties(f, condition, scene))
        and all(limit.holds(scene.figure(f, limit.measure)) for limit in condition.limits)
        and all(meets(f, inner, scene) for inner in condition.all_of or ())
        and (condition.any_of is None or any(meets(f, inner, scene) for inner in condition.any_of))
        and (condition.none_of is None or not meets(f, condition.none_of, scene))
    )


def grounds(f: Found, condition: Condition, scene: Scene, met: bool = True) -> list[Ground]:
    """The figures and limits by which a defect meets a condition; with `met` false, those by which it does not."""
    told = []
    for limit in condition.limits:
        figure = scene.figure(f, limit.measure)
        if limit.holds(figure) is met:
            told.append(_ground(limit, figure, met))
    inner = [*(condition.all_of or ()), *(condition.any_of or ())]
    for part in inner:
        if meets(f, part, scene) is met:
            told += grounds(f, part, scene, met)
    if condition.none_of is not None and meets(f, condition.none_of, scene) is not met:
        told += grounds(f, condition.none_of, scene, not met)
    return told


def misfits(f: Found, condition: Condition, scene: Scene) -> list[str]:
    """What other than figures keeps a defect from meeting a condition, in words."""
    told = [f"not {wanted}" for wanted, holds in _properties(f, condition, scene) if not holds]
    for part in (*(condition.all_of or ()), *(condition.any_of or ())):
        if not meets(f, part, scene):
            told += misfits(f, part, scene)
    return told


def _properties(f: Found, condition: Condition, scene: Scene) -> Iterator[tuple[str, bool]]:
    """What a condition wants of a defect other than figures, and whether it is so."""
    if condition.cls is not None:
        yield f"of class {_either(condition.cls)}", f.defect.cls in condition.cls
    if condition.grade is not None:
        yield f"of grade {_either(condition.grade)}", scene.grades.get(f) in condition.grade
    if condition.zone is not None:
        yield f"in zone {_either(condition.zone)}", not f.zones.isdisjoint(condition.zone)
    if condition.inside is not None:
        yield f"wholly inside {_either(condition.inside)}", not f.inside.isdisjoint(condition.inside)
    if condition.tone is not None:
        scene.figure(f, "contrast")  # refuses where it is not known
        brighter = (f.defect.contrast or 0.0) > 0
        yield condition.tone, (condition.tone == "bright") is brighter and f.defect.contrast != 0


def _either(names: Sequence[str]) -> str:
    return " or ".join(names)


def _ground(limit: Limit, figure: float, met: bool) -> Ground:
    return Ground(
        measure=limit.measure,
        figure=None if math.isinf(figure) else figure,
        relation=limit.relation if met else _OPPOSITE[limit.relation],
        limit=limit.value,
    )


def _unknown(measure: str) -> str:
    if measure == "contrast":
        return "it fills the image, so nothing is around it, or no image was given"
    return "give the recipe or the rules a pixel size (pixel_size_mm)"
