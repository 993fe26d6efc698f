"""A measurement-system analysis as one HTML file that needs nothing else, neither network nor scripts."""

from importlib.resources import files

from onspec.domain import MissingExtraError
from onspec.evaluation.agreement import AgreementFigures
from onspec.evaluation.msa_tables import Figures, summary, tables, tiles


def render(name: str, figures: Figures) -> str:
    """The page as HTML; `name` is that of the study.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise MissingExtraError("The page of onspec msa", "evaluate") from None
    source = files("onspec.evaluation").joinpath("msa.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(
        name=name,
        lead=_lead(figures),
        notes=figures.notes,
        summary=summary(figures),
        tiles=tiles(figures),
        tables=tables(figures),
    )


def _lead(figures: Figures) -> str:
    if isinstance(figures, AgreementFigures):
        people, trials = len(figures.appraisers), figures.trials
        return (
            f"Attribute agreement: {figures.good} good and {figures.defective} defective parts, "
            f"{people} appraiser{'' if people == 1 else 's'}, {trials} trial{'' if trials == 1 else 's'}."
        )
    return f"Gauge R&R: {figures.parts} parts, {figures.appraisers} appraisers, {figures.trials} trials."
