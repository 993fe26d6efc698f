"""Reviewed parts as a data set: what people said becomes the labels that the next training learns from."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onspec.datasets.converting import Conversion, convert
from onspec.datasets.dataset import Dataset
from onspec.decision.rejudging import redrawn
from onspec.domain import DEFECT, DataError, Defect, RunLengths, Sample
from onspec.imaging.shapes import encode_runs

if TYPE_CHECKING:
    from onspec.records.archive import Archive
    from onspec.records.record import Entry


def write_reviewed(
    archive: "Archive", entries: "Iterable[Entry]", out: Path, layout: str, *, link: bool = False
) -> tuple[Conversion, int]:
    """Write the images and what was said of them; also, how many reviewed images are not here.

    Each image comes once, by the review that was made last of any record of it. Where that confirms the outlines, the
    recorded ones (filled) are the labels, of the review's class if it names one; of another defective part it is only
    known that it is. In memory are reviewed parts, no others. With `link` images are hard links, where the disk allows
    it: for a set that nobody changes.

    Raises:
        UsageError: no such layout to write, or `out` is not empty or cannot be written to.
        DataError: no reviewed part can be written.
        RecordError: the archive does not answer.
    """
    found: dict[str, Entry] = {}
    for entry in entries:
        original = entry.record.original
        if original is None or not entry.reviews:
            continue
        known = found.get(original.sha256)
        if known is None or known.reviews[-1].time <= entry.reviews[-1].time:
            found[original.sha256] = entry
    samples = [sample for entry in found.values() if (sample := _sample(archive, entry)) is not None]
    missing = len(found) - len(samples)
    if not samples:
        raise DataError(
            f"no reviewed part to write: {len(found)} are reviewed, of which {missing} have no image (see --keep-ok of "
            "onspec serve); review some with: onspec records review"
        )
    dataset = Dataset(
        archive.images.folder, "records", tuple(sorted(samples, key=lambda s: s.name)), "the part ids of the records"
    )
    return convert(dataset, out, layout, link=link), missing


def _sample(archive: "Archive", entry: "Entry") -> Sample | None:
    """`None` where there is no image."""
    image, review, seen = archive.image(entry.record), entry.truth, entry.record.inspection
    if image is None or review is None:
        return None
    confirmed = seen.defects if review.outlines else ()
    return Sample(
        name=f"{image.stem[:16]}{image.suffix}",
        image=image,
        part=seen.part_id or image.stem,
        defective=review.truth == "defective",
        annotations=tuple(_runs(defect, seen.size or (0, 0), review.cls or defect.cls) for defect in confirmed),
        cls=None if confirmed or review.truth == "good" else review.cls or DEFECT,
    )


def _runs(defect: Defect, size: tuple[int, int], cls: str) -> RunLengths:
    """The pixels of a defect in an image of `size`."""
    mask = np.zeros(size[::-1], np.uint8)
    x, y, width, height = defect.bbox
    mask[y : y + height, x : x + width] = redrawn(defect).mask
    return RunLengths(encode_runs(mask), size, cls)
