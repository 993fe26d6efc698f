"""Label images: `SPLIT/images/X.jpg` + `SPLIT/masks/X.png`, black where a part is good.

One class is 255; several are 1, 2, 3 … with `classes.txt`; objects that were numbered stay so. Where one class has a
name, or a part is defective nobody knows where, folders say it: `SPLIT/images/CLASS/X.jpg` +
`SPLIT/ground_truth/CLASS/X.png`, good parts in `good/`.
"""

import numpy as np

from onspec.datasets.labels import load_instances, load_mask
from onspec.datasets.writers.base import Entry, Job, Writer
from onspec.datasets.writers.marks import words
from onspec.datasets.writers.names import as_folder, class_of
from onspec.domain import DEFECT, Box, MaskFile
from onspec.imaging.masks import HIGHEST_CODE
from onspec.imaging.reading import Image
from onspec.imaging.writing import encode_image


def write(job: Job) -> None:
    """A mask for every image whose defects are located; for good ones where no folder says that they are."""
    unlocated = any(entry.sample.defective and not entry.sample.annotations for entry in job.entries)
    located = sorted({a.cls for entry in job.entries for a in entry.sample.annotations})
    codes = _codes(job, located)
    folders = unlocated or (len(located) == 1 and located != [DEFECT])
    for entry in job.entries:
        top = f"{entry.sample.split}/" if entry.sample.split else ""
        kind = f"{_folder(job, entry)}/" if folders else ""
        job.place(entry, f"{top}images/{kind}{entry.file}")
        _remark(job, entry)
        if entry.sample.annotations or not (folders or entry.sample.defective):
            mask = encode_image(_mask(job, entry, codes))
            job.write(f"{top}{'ground_truth' if folders else 'masks'}/{kind}{entry.stem}.png", mask)
    if codes:
        job.write("classes.txt", "".join(f"{code} {name}\n" for name, code in codes.items()))


MASKS = Writer("masks", unlocated=True, write=write)


def _codes(job: Job, located: list[str]) -> dict[str, int]:
    """Class → value in the masks, where several classes can be told by it; else none."""
    if len(located) < 2:
        return {}
    unfit = [cls for cls in located if as_folder(cls) is None]
    if len(located) > HIGHEST_CODE or unfit:
        why = f"{unfit[0]!r} would be read as good" if unfit else f"masks hold at most {HIGHEST_CODE}"
        job.remarks.add(f"class is dropped, as {why}", f"classes are dropped, as {why}", len(located))
        return {}
    whole = [cls for cls in job.classes if cls not in (*located, DEFECT)]
    if whole:
        job.remarks.add(
            f"class is dropped, as no mask shows it: {', '.join(whole)}",
            f"classes are dropped, as no mask shows them: {', '.join(whole)}",
            len(whole),
        )
    return {cls: code for code, cls in enumerate(located, 1)}


def _folder(job: Job, entry: Entry) -> str:
    cls = class_of(entry.sample)
    if cls is None:
        return "good"
    if len({a.cls for a in entry.sample.annotations}) > 1:
        return DEFECT
    folder = as_folder(cls)
    if folder is None:
        job.remarks.add(
            f"image loses its class {cls!r}, which no folder can be called",
            f"images lose their class {cls!r}, which no folder can be called",
        )
    return folder or DEFECT


def _mask(job: Job, entry: Entry, codes: dict[str, int]) -> Image:
    """Numbers of objects stay what they are. Where defects of several classes overlap, the smaller lies on top."""
    if not codes and any(isinstance(a, MaskFile) and a.numbered for a in entry.sample.annotations):
        return load_instances(entry.sample, entry.size).astype(np.uint16)
    if not codes:
        return np.asarray(load_mask(entry.sample, entry.size)[0] * 255, np.uint8)
    planes = load_mask(entry.sample, entry.size, tuple(codes))
    if (planes.sum(axis=0, dtype=np.uint16) > 1).any():
        job.remarks.add(
            "image has overlapping defects of several classes; the smaller lies on top",
            "images have overlapping defects of several classes; the smaller lies on top",
        )
    mask = np.zeros(planes.shape[1:], np.uint8)
    areas = planes.sum(axis=(1, 2), dtype=np.int64)
    for index in sorted(range(len(planes)), key=lambda i: (-areas[i], i)):
        mask[planes[index] > 0] = index + 1
    return mask


def _remark(job: Job, entry: Entry) -> None:
    for annotation in entry.sample.annotations:
        if not isinstance(annotation, MaskFile):
            one, many = words(annotation)
            filled = ", filled" if isinstance(annotation, Box) else ""
            job.remarks.add(f"{one} is drawn into the mask{filled}", f"{many} are drawn into masks{filled}")
