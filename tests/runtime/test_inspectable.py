"""Darkened, blurred, shifted and turned images are never OK, whatever the network says, wherever they are judged."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.layouts import load
from onspec.decision.inspectability import NAME
from onspec.decision.rules import RuleSet
from onspec.decision.thresholds import Thresholds
from onspec.domain import Inspection, NotInspectableError, Verdict
from onspec.imaging.preparation import Extent
from onspec.imaging.reading import read_image
from onspec.imaging.writing import encode_image
from onspec.recipe.package import Golden, Package
from onspec.recipe.reading import with_digest
from onspec.recipe.reference import reference_of, see
from onspec.runtime.golden import record_golden, run_golden
from onspec.runtime.inspector import Decoded, Inspector, Result

Gray = NDArray[np.uint8]
Spoil = Callable[[Gray], Gray]


def lit(factor: float) -> Spoil:
    return lambda image: np.asarray(np.clip(np.rint(image * factor), 0, 255), np.uint8)


def blurred(sigma: float) -> Spoil:
    return lambda image: np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def moved(across: float = 0.0, down: float = 0.0, degrees: float = 0.0) -> Spoil:
    """By shares of the sides; what comes into view is as the border."""

    def spoil(image: Gray) -> Gray:
        height, width = image.shape
        way = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
        way[:, 2] += (across * width, down * height)
        return np.asarray(cv2.warpAffine(image, way, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)

    return spoil


LIGHT = {"light × 0.5": lit(0.5), "light × 1.5": lit(1.5)}
FOCUS = {f"blur σ {sigma}": blurred(sigma) for sigma in (1, 2, 3, 4)}
PLACE = {
    "shift 10 %": moved(0.1), "shift back": moved(-0.1), "shift down": moved(0, 0.1),
    "turn 5°": moved(degrees=5), "turn -10°": moved(degrees=-10), "turn 20°": moved(degrees=20),
}  # fmt: skip


def grained(seed: int) -> Gray:
    """A surface with cloudy light and grain."""
    rng = np.random.default_rng(seed)
    clouds = cv2.resize(rng.standard_normal((16, 16), np.float32), (256, 256))
    return np.asarray(np.clip(100 + 12 * clouds + 5 * rng.standard_normal((256, 256)), 0, 255), np.uint8)


def in_fixture(part: Gray, seed: int) -> Gray:
    """A picture of a part in a fixture: it lies within half a percent and half a degree, light varies by 2 %."""
    rng = np.random.default_rng(seed)
    across, down, degrees = rng.uniform(-1, 1, 3) * (0.005, 0.005, 0.5)
    image = moved(across, down, degrees)(part) * rng.normal(1, 0.01) + rng.normal(0, 1.5, part.shape)
    return np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)


def drawn_part() -> Gray:
    """With marks all over it."""
    rng = np.random.default_rng(3)
    part = np.full((256, 320), 70, np.uint8)
    for _ in range(25):
        x, y, side, level = (int(v) for v in rng.integers((10, 10, 10, 20), (300, 240, 60, 230)))
        cv2.rectangle(part, (x, y), (x + side, y + side // 2), level, -1)
    return part


def halves(real_data: Path, folder: str, most: int) -> tuple[list[Gray], list[Gray]]:
    """Every other part of a real set, and the others."""
    samples = load(real_data / folder).samples
    chosen = set(sorted({sample.part for sample in samples})[::2])
    known = [s for s in samples if s.part in chosen]
    others = [s for s in samples if s.part not in chosen]
    first, second = ([np.asarray(read_image(s.image), np.uint8) for s in half[:most]] for half in (known, others))
    return first, second


def package_of(base: Package, images: Sequence[Gray], rules: dict[str, object] | None = None) -> Package:
    """A recipe that was trained on these images, and takes every part for OK: the gate must not need the network."""
    anything = Extent(min=1, max=4096)
    known = {
        "reference": reference_of([see(image) for image in images]),
        "input": base.recipe.input.model_copy(update={"width": anything, "height": anything}),
        "thresholds": Thresholds(image=1.0),
        "rules": RuleSet.model_validate({"rules": [{"name": "none", "outcome": "OK"}], **(rules or {})}),
    }
    golden = (Golden("first.png", encode_image(images[0])),)
    return with_digest(replace(base, recipe=base.recipe.model_copy(update=known), golden=golden))


@pytest.fixture
def opened() -> Iterator[Callable[..., Inspector]]:
    made: list[Inspector] = []

    def make(package: Package, engine: str = "onnxruntime") -> Inspector:
        made.append(Inspector(package, engine, threads=1))
        return made[-1]

    yield make
    for inspector in made:
        inspector.close()


def judged(inspector: Inspector, image: Gray) -> Result:
    return inspector.inspect_decoded(Decoded(image, 0.0), "a.png")


def share_ok(inspector: Inspector, images: Sequence[Gray], spoil: Spoil | None = None) -> float:
    """Of the images that are OK as they are, where they are spoiled."""
    seen = [image for image in images if spoil is None or judged(inspector, image).inspection.verdict is Verdict.OK]
    verdicts = [judged(inspector, image if spoil is None else spoil(image)).inspection.verdict for image in seen]
    return verdicts.count(Verdict.OK) / len(verdicts)


def test_a_spoiled_surface_is_never_ok(tiny_package: Package, opened: Callable[..., Inspector]) -> None:
    inspector = opened(package_of(tiny_package, [grained(seed) for seed in range(60)]))
    others = [grained(seed) for seed in range(100, 200)]
    assert share_ok(inspector, others) >= 0.99
    for name, spoil in (LIGHT | FOCUS).items():
        assert share_ok(inspector, others[:8], spoil) == 0, name


def test_a_part_out_of_place_is_never_ok(tiny_package: Package, opened: Callable[..., Inspector]) -> None:
    part = drawn_part()
    inspector = opened(package_of(tiny_package, [in_fixture(part, seed) for seed in range(40)]))
    others = [in_fixture(part, seed) for seed in range(100, 200)]
    assert share_ok(inspector, others) >= 0.99
    for name, spoil in (LIGHT | FOCUS | PLACE).items():
        assert share_ok(inspector, others[:4], spoil) == 0, name
    told = judged(inspector, moved(0.1)(others[0])).inspection
    assert any(
        reason.startswith("not inspectable: moved, turned or another part: likeness ") for reason in told.reasons
    )


CAUGHT = {
    "dagm2007/Class1": (*LIGHT, *FOCUS),
    "membrane": ("light × 0.5", "light × 1.5", "blur σ 2", "blur σ 3", "blur σ 4"),
    "deeppcb": tuple(FOCUS),
    "magnetic_tile": ("blur σ 2", "blur σ 3", "blur σ 4"),
}
"""What is noticed on the images of a set, whose own light and focus vary more or less; docs/inspectable.md has all."""


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.parametrize("folder", CAUGHT)
def test_real_images_spoiled(
    real_data: Path, folder: str, tiny_package: Package, opened: Callable[..., Inspector]
) -> None:
    known, others = halves(real_data, folder, 110)
    inspector = opened(package_of(tiny_package, known))
    assert share_ok(inspector, others) >= 0.99
    for name in CAUGHT[folder]:
        assert share_ok(inspector, others[::12], (LIGHT | FOCUS)[name]) == 0, name


@pytest.mark.real
def test_a_real_part_out_of_place(real_data: Path, tiny_package: Package, opened: Callable[..., Inspector]) -> None:
    sample = next(s for s in load(real_data / "deeppcb").samples if s.defective)
    part = np.asarray(read_image(sample.image), np.uint8)
    inspector = opened(package_of(tiny_package, [in_fixture(part, seed) for seed in range(20)]))
    others = [in_fixture(part, seed) for seed in range(100, 115)]
    assert share_ok(inspector, others) == 1
    for name, spoil in PLACE.items():
        assert share_ok(inspector, others[:3], spoil) == 0, name


def test_an_image_that_shows_nothing_is_an_error_with_its_look(
    tiny_package: Package, opened: Callable[..., Inspector]
) -> None:
    inspector = opened(package_of(tiny_package, [grained(seed) for seed in range(20)]))
    for level in (0, 100, 255):
        result = judged(inspector, np.full((256, 256), level, np.uint8))
        told = result.inspection
        assert told.verdict is Verdict.ERROR
        assert "a.png: not inspectable: the image shows nothing: contrast 0" in (told.error or "")
        assert isinstance(result.cause, NotInspectableError)
        assert told.look is not None
        assert told.look.brightness == pytest.approx(level / 255, abs=1e-4)


def test_the_rules_may_make_it_an_error_or_accept_it(tiny_package: Package, opened: Callable[..., Inspector]) -> None:
    known, dark = [grained(seed) for seed in range(20)], lit(0.5)(grained(50))
    wanted = {"review": Verdict.REVIEW, "error": Verdict.ERROR, "accept": Verdict.OK}
    for outside, verdict in wanted.items():
        inspector = opened(package_of(tiny_package, known, {"inspectable": {"outside": outside}}))
        told = judged(inspector, dark).inspection
        assert told.verdict is verdict
        assert told.look is not None
        assert set(told.ms) >= {"read", "infer", "look"}


def test_a_recipe_that_knows_of_no_look_judges_as_ever(tiny_package: Package, opened: Callable[..., Inspector]) -> None:
    package = package_of(tiny_package, [grained(0)])
    plain = with_digest(replace(package, recipe=package.recipe.model_copy(update={"reference": None})))
    told = judged(opened(plain), np.zeros((64, 64), np.uint8)).inspection
    assert (told.verdict, told.look, set(told.ms)) == (Verdict.OK, None, {"read", "infer", "decide"})


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "torch"])
def test_every_engine_says_the_same(engine: str, tiny_package: Package, opened: Callable[..., Inspector]) -> None:
    package = package_of(tiny_package, [grained(seed) for seed in range(20)])

    def told(name: str) -> list[tuple[object, ...]]:
        images = [grained(30), lit(0.5)(grained(31)), blurred(2)(grained(32)), np.zeros((256, 256), np.uint8)]
        seen: list[Inspection] = [judged(opened(package, name), image).inspection for image in images]
        return [(one.verdict, one.reasons, one.error, one.look) for one in seen]

    assert told(engine) == told("onnxruntime")


def test_a_golden_sample_that_no_longer_looks_so_deviates(tiny_package: Package) -> None:
    package = package_of(tiny_package, [grained(seed) for seed in range(20)])
    with closing(Inspector(package, "onnxruntime", threads=1)) as inspector:
        (known,) = record_golden(inspector, package.golden)
        assert [outcome.ok for outcome in run_golden(inspector, [known])] == [True]
        dark = replace(known, data=encode_image(lit(0.5)(grained(0))))
        (outcome,) = run_golden(inspector, [dark])
    assert "verdict REVIEW, expected OK" in (outcome.deviation or "")
    assert outcome.inspection.fired[0].rule == NAME
