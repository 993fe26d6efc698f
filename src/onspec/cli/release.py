"""`onspec release`: draft → tested → released, on the evidence of an acceptance test."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onspec.recipe.approval import Evidence
    from onspec.recipe.package import Package


def command(
    recipe: Annotated[Path, typer.Argument(help="A packed recipe file (.onspec).")],
    to: Annotated[str, typer.Option("--to", help="tested or released.")],
    by: Annotated[str, typer.Option("--by", help="Who takes the responsibility.")],
    evidence: Annotated[Path, typer.Option(help="The folder of onspec acceptance, or its acceptance.json.")],
    out: Annotated[Path, typer.Option("--out", help="The recipe file to write.")],
    comment: Annotated[str, typer.Option(help="Anything that belongs to the decision.")] = "",
    sign: Annotated[Path | None, typer.Option(help="Sign with this Ed25519 private key, PEM.")] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="Refuse a protocol that the private half of this key did not sign.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> int:
    """Raise a recipe to tested, then to released; what was tested stays as it is, byte for byte.

    Tested takes the protocol of an acceptance test of exactly this content that ended as accepted, with conditions or
    without; released takes one that ended as accepted. onspec serve --production takes released recipes only.

    Example: onspec release tile.onspec --to tested --by "A. Meier" --evidence acceptance/ --out tile-tested.onspec
    """
    from datetime import UTC, datetime

    from pydantic import ValidationError

    from onspec.cli.progress import talk
    from onspec.domain import UsageError
    from onspec.recipe.approval import State, Step
    from onspec.recipe.reading import open_package
    from onspec.recipe.writing import approve

    if to not in (State.TESTED, State.RELEASED):
        raise UsageError(f"--to takes tested or released; got {to!r}")
    if not by.strip():
        raise UsageError("--by takes the name of who is responsible; got nothing")
    if out.exists() and not force:
        raise UsageError(f"{out} exists; choose another name, or overwrite it with --force")
    package = open_package(recipe)
    found = _evidence(package, recipe, evidence, public_key)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        step = Step(to=to, by=by.strip(), at=at, comment=comment, evidence=found)
    except ValidationError as error:
        raise UsageError(f"cannot be {to}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from error
    approve(recipe, step, out, signing_key=sign)
    made = open_package(out)
    talk(f"{out}: {made.identity}{'' if sign is None else ', signed'}")
    talk(f"version {made.recipe.version} is {made.state}, content {made.content} as before")
    if sign is None:
        talk("nothing proves who said so: sign it with --sign KEY")
    return 0


def _evidence(package: "Package", recipe: Path, given: Path, public_key: Path | None) -> "Evidence":
    """The protocol, if it is whole and about exactly this content.

    Raises:
        IntegrityError: a protocol that was changed, or not signed as it should be.
        UsageError: a protocol of something else, or of a test that was not passed.
    """
    import hashlib

    from onspec.cli.protocol import JSON, check_protocol
    from onspec.domain import UsageError
    from onspec.evaluation.acceptance import Outcome
    from onspec.recipe.approval import Evidence
    from onspec.recipe.life import short

    folder = given if given.is_dir() else given.parent
    protocol, _ = check_protocol(folder, public_key)
    if protocol.recipe.content != package.content:
        raise UsageError(
            f"{folder}: is about {protocol.recipe.name} version {protocol.recipe.version} "
            f"({short(protocol.recipe.content)}), {recipe} is {short(package.content)}; test this recipe itself with "
            "onspec acceptance"
        )
    if protocol.judgement.outcome is Outcome.REFUSED:
        raise UsageError(f"{folder}: the acceptance test ended as {Outcome.REFUSED}, so it is no evidence for anything")
    return Evidence(
        digest=f"sha256:{hashlib.sha256((folder / JSON).read_bytes()).hexdigest()}",
        result=str(protocol.judgement.outcome),
        at=protocol.conditions.started,
        by=protocol.parties.by,
        engine=protocol.conditions.engine,
        summary=protocol.judgement.summary,
    )
