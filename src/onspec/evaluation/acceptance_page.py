"""The protocol of an acceptance test as one HTML file to read, print and sign; it needs neither network nor scripts."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

from onspec.domain import MissingExtraError
from onspec.evaluation.acceptance import Outcome, Proof
from onspec.evaluation.acceptance_protocol import Protocol
from onspec.evaluation.evidence import at_most
from onspec.evaluation.reference_part import VERDICTS, Finding, ReferencePart
from onspec.evaluation.wording import score_text

Picture = Callable[[str], bytes | None]
"""Name of an image → JPEG of it with label and answer; `None` where it cannot be drawn."""

MOST_PICTURES = 100
"""Pictures in a protocol unless the caller says otherwise; a misjudged part is listed with one or without."""

_LEVELS = {Outcome.ACCEPTED: "ok", Outcome.CONDITIONS: "warn", Outcome.REFUSED: "bad"}
_WRONG = {Finding.ESCAPE: "bad", Finding.FALSE_REJECT: "bad", Finding.UNJUDGED: "bad", Finding.REVIEW: "warn"}


@dataclass(frozen=True, slots=True)
class _Shown:
    """A part under a heading, with the picture of the image that scored highest."""

    part: ReferencePart
    told: str
    level: str
    source: str | None


def render(protocol: Protocol, picture: Picture, most_pictures: int = MOST_PICTURES) -> str:
    """The page as HTML. `picture` is only called for parts that are shown.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError:
        raise MissingExtraError("The page of onspec acceptance", "evaluate") from None
    source = files("onspec.evaluation").joinpath("acceptance.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    misjudged, borderline = protocol.misjudged, protocol.borderline
    for_wrong = misjudged[:most_pictures]
    for_borderline = borderline[: max(0, most_pictures - len(for_wrong))]
    environment.filters["unbroken"] = lambda text: text.replace(" %", "\u00a0%")
    return environment.from_string(source).render(
        p=protocol,
        judgement=protocol.judgement,
        level=_LEVELS[protocol.judgement.outcome],
        facts=_facts(protocol),
        verdicts=VERDICTS,
        wrong_rate=_wrong_rate,
        told_columns=_told_columns(protocol),
        told=_told_rows(protocol),
        misjudged=[_shown(part, picture if part in for_wrong else None) for part in misjudged],
        borderline=[_shown(part, picture if part in for_borderline else None) for part in borderline],
        more_pictures=len(misjudged) + len(borderline) - len(for_wrong) - len(for_borderline),
        findings=_WRONG,
        verdict_text=_verdicts,
        score=lambda image: _scores(image.scores),
        milliseconds=_milliseconds(protocol),
    )


def _facts(protocol: Protocol) -> list[tuple[str, dict[str, str]]]:
    """Heading → name → text; what is empty is left out."""
    recipe, data, conditions = protocol.recipe, protocol.data, protocol.conditions
    approval = f"version {recipe.version}, {recipe.state}"
    kinds = f"{data.good} good, {data.defective} defective" + (
        f", {data.borderline} borderline" if data.borderline else ""
    )
    return [
        (
            "System under test",
            {
                "Recipe": f"{recipe.name}, {approval}",
                "File": recipe.identity,
                "Content": recipe.content,
                "Signature": recipe.signature,
                "Task": f"{recipe.task}; classes: {', '.join(recipe.classes)}",
                "Thresholds": recipe.thresholds,
                "Rules": "; ".join(recipe.rules) or "none: every defect is NG",
                "Engine": conditions.engine,
                "Software": ", ".join(
                    [f"onspec {conditions.onspec}", *(f"{k} {v}" for k, v in conditions.versions.items())]
                ),
                "Machine": ", ".join(f"{v} cores" if k == "cores" else v for k, v in conditions.machine.items() if v),
            },
        ),
        (
            "Test parts",
            {
                "Set": f"{data.name} (layout {data.layout}), {data.split}: {data.split_from}",
                "Parts": f"{kinds}; {data.images} images",
                "Fingerprint": data.fingerprint,
            },
        ),
        (
            "Conditions of the test",
            {
                "Started": f"{conditions.started}, took {conditions.seconds:.0f} s",
                "Repeats": f"{protocol.agreement.repeats}, each with the engine started anew: "
                + ", ".join(conditions.orders),
                "Command": conditions.command,
            },
        ),
    ]


def _wrong_rate(proof: Proof | None) -> str:
    """`1 of 60 (at most 7.7 %)`."""
    if proof is None:
        return "–"
    return f"{proof.count} of {proof.of}" + (f" (at most {at_most(proof.upper)})" if proof.of else "")


def _told_columns(protocol: Protocol) -> list[str]:
    told = protocol.judgement.told
    if told is None:
        return []
    seen = {name for row in told.values() for name in row}
    return [name for name in ("good", *protocol.recipe.classes) if name in seen or name in told]


def _told_rows(protocol: Protocol) -> list[tuple[str, dict[str, int]]]:
    """Good first, then the classes as the recipe has them, then what else parts are called."""
    told = protocol.judgement.told or {}
    order = ["good", *protocol.recipe.classes]
    return sorted(told.items(), key=lambda row: (order.index(row[0]) if row[0] in order else len(order), row[0]))


def _shown(part: ReferencePart, picture: Picture | None) -> _Shown:
    image = max(part.images, key=lambda image: max((s for s in image.scores if s is not None), default=-1.0))
    data = None if picture is None else picture(image.image)
    told = [f"{part.cls}, judged {_verdicts(part.verdicts)}"]
    told.append(f"score {_scores(image.scores)}" if image.error is None else image.error)
    told += [reason for reason in image.reasons[:2] if image.error is None]
    finding = str(part.finding) if part.stable else f"{part.finding}, verdicts change"
    address = None if data is None else f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    return _Shown(part, f"{finding}: {'; '.join(told)}", _WRONG.get(part.finding, "warn"), address)


def _verdicts(verdicts: tuple[str, ...]) -> str:
    """`NG` where all repeats agree, else one after the other."""
    return str(verdicts[0]) if len(set(verdicts)) == 1 else " / ".join(str(verdict) for verdict in verdicts)


def _scores(scores: tuple[float | None, ...]) -> str:
    """The one score, or from the lowest to the highest; equal to the last bit or it does not read as one."""
    known = [score for score in scores if score is not None]
    if not known:
        return "–"
    low, high = min(known), max(known)
    return score_text(low) if low == high else f"{low:.6f} to {high:.6f}"


def _milliseconds(protocol: Protocol) -> str:
    """`median 41 ms, slowest 75 ms`, over all images and repeats."""
    times = sorted(ms for part in protocol.parts for image in part.images for ms in image.ms)
    if not times:
        return "n/a"
    late = times[min(len(times) - 1, int(0.95 * len(times)))]
    return f"median {times[len(times) // 2]:.0f} ms, 95 % within {late:.0f} ms, slowest {times[-1]:.0f} ms"
