"""Golden samples for `onspec pack`, chosen from a labelled data set by what the recipe makes of its images."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onspec.recipe.package import Golden
    from onspec.runtime.inspector import Inspector


def chosen_from(data: Path, inspector: "Inspector") -> "tuple[Golden, ...]":
    """The samples with their files, results not recorded. An image that cannot be judged is none.

    Raises:
        DataError: data that cannot be read, or of which no validation image can be judged.
    """
    from contextlib import closing

    from onspec.cli.data_options import marked_in
    from onspec.cli.labelled import select
    from onspec.cli.progress import talk
    from onspec.datasets.layouts import load
    from onspec.domain import DataError
    from onspec.imaging.reading import read_bytes
    from onspec.recipe.golden_choice import Candidate, choose_golden
    from onspec.recipe.package import Golden

    package = inspector.package
    learned = package.recipe.provenance.data
    dataset = load(data, None if learned is None else learned.layout, marked=marked_in(package))
    samples = select(dataset, package, "val").samples
    candidates = []
    with closing(inspector.inspect_files(sample.image for sample in samples)) as results:
        for sample, result in zip(samples, results, strict=True):
            told = result.inspection
            if told.score is not None:
                cls = sample.cls or next(iter({a.cls for a in sample.annotations}), None)
                candidates.append(
                    Candidate(
                        sample.name,
                        sample.part,
                        sample.defective,
                        told.score,
                        sample.image.stat().st_size,
                        cls if cls in package.recipe.classes else None,
                        told.class_scores,
                        told.verdict,
                    )
                )
    if not candidates:
        raise DataError(f"{data}: none of its {len(samples)} validation images can be judged, so none can be golden")
    files = {sample.name: sample.image for sample in samples}
    chosen = choose_golden(candidates, package.recipe.thresholds)
    for name, candidate in chosen:
        talk(f"golden: {name} is {candidate.name} ({candidate.verdict}, score {candidate.score:.4f})")
    return tuple(Golden(name, read_bytes(files[candidate.name])) for name, candidate in sorted(chosen))
