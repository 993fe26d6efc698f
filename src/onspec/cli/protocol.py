"""The protocol of `onspec acceptance`: its facts, its pictures and its files."""

import csv
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onspec.recipe.archive import SUMS

if TYPE_CHECKING:
    from onspec.cli.accepting import Judged
    from onspec.cli.labelled import Selection
    from onspec.cli.reference import ReferenceParts
    from onspec.datasets.dataset import Dataset
    from onspec.evaluation.acceptance import Agreement
    from onspec.evaluation.acceptance_page import Picture
    from onspec.evaluation.acceptance_protocol import Conditions, DeliveredRecipe, Protocol, ReferenceData
    from onspec.recipe.package import Package

JSON, HTML, CSV, PDF = "acceptance.json", "acceptance.html", "acceptance.csv", "acceptance.pdf"
SIGNATURE = f"{SUMS}.sig"

COLUMNS = (
    *("part", "image", "sha256", "reference", "class", "finding"),
    *("repeat", "verdict", "score", "told", "ms", "error"),
)
"""Of acceptance.csv: a row an image and repeat."""


def delivered(package: "Package", *, checked: bool) -> "DeliveredRecipe":
    """The recipe in words; `checked` says that its signature was."""
    from onspec.evaluation.acceptance_protocol import DeliveredRecipe

    recipe, signature = package.recipe, "none"
    if package.signed:
        signature = "valid" if checked else "present, not checked (--public-key was not given)"
    used = recipe.thresholds
    told = [f"image {used.image:.4g}", f"pixel {used.pixel:.4g}"]
    told += [] if used.review is None else [f"review from {used.review:.4g}"]
    return DeliveredRecipe(
        name=recipe.name,
        version=recipe.version,
        identity=package.identity,
        content=package.content,
        signature=signature,
        state=str(package.state),
        task=str(recipe.task),
        classes=recipe.classes,
        thresholds=", ".join(told),
        rules=tuple(f"{rule.name} ({rule.outcome})" for rule in recipe.rules.rules),
    )


def reference_data(
    dataset: "Dataset", selection: "Selection", reference: "ReferenceParts", split: str
) -> "ReferenceData":
    """The test parts as a set."""
    from onspec.evaluation.acceptance_protocol import ReferenceData
    from onspec.evaluation.reference_part import Reference

    return ReferenceData(
        name=dataset.root.resolve().name,
        layout=dataset.layout,
        fingerprint=selection.fingerprint,
        split=split,
        split_from=selection.rule,
        good=reference.count(Reference.GOOD),
        defective=reference.count(Reference.DEFECTIVE),
        borderline=reference.count(Reference.BORDERLINE),
        images=len(selection.samples),
    )


def conditions(judged: "Judged", started: float, command: str) -> "Conditions":
    """Machine, versions and times; `started` as `time.time` tells it."""
    from datetime import UTC, datetime

    from onspec import __version__
    from onspec.cli.accepting import machine, versions
    from onspec.evaluation.acceptance_protocol import Conditions

    return Conditions(
        started=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        seconds=round(max(0.0, time.time() - started), 1),
        engine=judged.engine,
        machine=machine(),
        versions=versions(judged.engine),
        onspec=__version__,
        command=command,
        orders=judged.orders,
    )


def notes(
    package: "Package", selection: "Selection", reference: "ReferenceParts", agreement: "Agreement"
) -> tuple[str, ...]:
    """What the parties must know before they sign."""
    from onspec.cli.reference import learned_names

    told = []
    if agreement.repeats > 1:
        told.append(
            "The repeats judge the same image files, so they show that the software always says the same; they say "
            "nothing about camera, light and handling. For those, photograph parts anew and use onspec msa."
        )
    else:
        told.append("Every part was judged once, so repeatability was not tested.")
    same = learned_names(package, selection)
    if same:
        told.append(
            f"{same} of the images are called as images that the recipe was trained or chosen on. If they are the "
            "same, the rates are better than new parts will give."
        )
    elif not selection.known and package.recipe.provenance.data is not None:
        told.append("The recipe knows none of these images by name; that it never learned from them is for you to say.")
    if selection.known and "of the test split" in package.recipe.thresholds.basis:
        told.append("The threshold was chosen on test parts, perhaps these very ones; then its rates are flattered.")
    if any(len(images) > 1 for images in reference.parts.values()):
        told.append("Parts with several images have the verdict of their worst image.")
    if selection.changed:
        told.append(f"{selection.changed[0].upper()}{selection.changed[1:]}.")
    return tuple(told)


def pictures_of(package: "Package", engine: str, selection: "Selection") -> "Picture":
    """Draws one image with its label and the answer; the engine starts with the first."""
    from functools import cache

    from onspec.cli.labelled import redrawn
    from onspec.runtime.inspector import Inspector

    samples = {sample.name: sample for sample in selection.samples}
    inspector = cache(lambda: Inspector(package, engine))
    return lambda image: redrawn(inspector(), samples[image])


def write(
    out: Path,
    protocol: "Protocol",
    picture: "Picture",
    most_pictures: int,
    browser: Path | None,
    signing_key: Path | None,
) -> None:
    """The files, then the digests of all of them, then the signature of the digests.

    Raises:
        UsageError: something cannot be written, printed or signed.
    """
    from onspec.cli.browser import print_pdf
    from onspec.evaluation.acceptance_page import render
    from onspec.imaging.writing import write_bytes
    from onspec.recipe import archive, signature

    files = {
        JSON: protocol.to_json().encode("utf-8", "backslashreplace"),
        CSV: table(protocol).encode("utf-8", "backslashreplace"),
        HTML: render(protocol, picture, most_pictures).encode("utf-8", "backslashreplace"),
    }
    for name, data in files.items():
        write_bytes(out / name, data)
    if browser is not None:
        print_pdf(browser, out / HTML, out / PDF)
        files[PDF] = (out / PDF).read_bytes()
    sums = archive.sums(files)
    write_bytes(out / SUMS, sums)
    if signing_key is not None:
        write_bytes(out / SIGNATURE, signature.sign(sums, signing_key))


def table(protocol: "Protocol") -> str:
    """acceptance.csv."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    for part in protocol.parts:
        for image in part.images:
            known = (part.part, image.image, image.sha256, str(part.reference), part.cls, str(part.finding))
            for repeat, verdict in enumerate(image.verdicts):
                score, ms = image.scores[repeat], image.ms[repeat]
                shown = "" if score is None else repr(score)
                rows.writerow([*known, repeat + 1, str(verdict), shown, image.told, ms, image.error])
    return text.getvalue()


def check_protocol(folder: Path, public_key: Path | None) -> tuple["Protocol", str]:
    """The protocol in a folder, after checking that its files are as they were written, and what its signature is.

    Raises:
        IntegrityError: a file that was changed or is gone, or no signature by the private half of the key.
        RecipeError: no protocol.
    """
    from pydantic import ValidationError

    from onspec.domain import IntegrityError, RecipeError
    from onspec.evaluation.acceptance_protocol import Protocol
    from onspec.recipe import archive, signature

    sums = _read(folder / SUMS)
    names = [line[66:] for line in sums.decode("utf-8", "replace").splitlines()]
    if not {JSON, HTML, CSV} <= {*names} <= {JSON, HTML, CSV, PDF}:
        raise IntegrityError(f"{folder / SUMS}: does not list the files of a protocol; get the folder again")
    files = {name: _read(folder / name) for name in names}
    _refuse_changed(folder, sums, archive.sums(files))
    signed = (folder / SIGNATURE).is_file()
    if public_key is not None:
        signature.check(sums, _read(folder / SIGNATURE) if signed else None, public_key, str(folder))
    try:
        protocol = Protocol.model_validate_json(files[JSON])
    except ValidationError as error:
        raise RecipeError(f"{folder / JSON}: not a protocol of this onspec ({error.errors()[0]['msg']})") from error
    word = "none" if not signed else "valid" if public_key is not None else "present, not checked (give --public-key)"
    return protocol, word


def _refuse_changed(folder: Path, told: bytes, found: bytes) -> None:
    from onspec.domain import IntegrityError

    lines: Sequence[bytes] = told.splitlines()
    for line in found.splitlines():
        if line not in lines:
            raise IntegrityError(
                f"{folder / line[66:].decode()}: was changed after the test; get it again from whom you trust"
            )


def _read(path: Path) -> bytes:
    from onspec.domain import RecipeError

    try:
        return path.read_bytes()
    except OSError as error:
        raise RecipeError(
            f"{path}: cannot be read ({error.strerror}); a protocol is the whole folder that onspec acceptance wrote"
        ) from error
