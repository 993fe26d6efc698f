"""How the images of a data set look, for a recipe that was trained before recipes knew, or to look anew."""

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onspec.domain import Sample
    from onspec.recipe.package import Package
    from onspec.runtime.inspector import Inspector
    from onspec.training.looks import Looks


@dataclass(frozen=True, slots=True)
class Shown:
    """Of a set's training and validation images, and the good ones among the latter."""

    looks: "Looks"
    good: "tuple[Sample, ...]"

    def put_into(self, package: "Package", inspector: "Inspector | None" = None) -> "Package":
        """The package with this reference; an inspector adds what the good images score."""
        scores: list[float] = []
        if inspector is not None:
            with closing(inspector.inspect_files(sample.image for sample in self.good)) as results:
                told = [result.inspection.score for result in results]
            scores = [score for score in told if score is not None]
        known = {"reference": self.looks.reference(scores)}
        return replace(package, recipe=package.recipe.model_copy(update=known))


def shown_in(data: Path, package: "Package") -> Shown:
    """What a data set shows.

    Raises:
        DataError, ImageError: it is no data set for this recipe, or an image cannot be read.
        SplitError: it has no training or no validation images.
    """
    from onspec.cli.data_options import marked_in
    from onspec.cli.labelled import select
    from onspec.cli.progress import talk
    from onspec.datasets.layouts import load
    from onspec.domain import Split, SplitError
    from onspec.training.looks import measure

    learned = package.recipe.provenance.data
    dataset = load(data, None if learned is None else learned.layout, marked=marked_in(package))
    try:
        parts = {split: select(dataset, package, split).samples for split in (Split.TRAIN, Split.VAL)}
    except SplitError as error:
        raise SplitError(
            f"{data}: training and validation images are needed, and it has not both; name the data set that the "
            "recipe was trained on, by the same folder"
        ) from error
    looks = measure(parts, package.recipe.input.camera)
    talk(f"looks: {looks.told}")
    return Shown(looks, tuple(sample for sample in parts[Split.VAL] if not sample.defective))
