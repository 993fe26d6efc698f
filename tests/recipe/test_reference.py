"""What a recipe keeps of how its training images looked."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from onspec.decision.inspectability import Gate
from onspec.domain.look import STEPS, Reference
from onspec.recipe.difference import differences
from onspec.recipe.package import Package
from onspec.recipe.reading import with_digest
from onspec.recipe.reference import likened, picture_in, quantiles, reference_of, see, spread
from onspec.recipe.schema import Recipe

Gray = NDArray[np.uint8]


def texture(seed: int) -> Gray:
    """A rough surface, nowhere like another."""
    rng = np.random.default_rng(seed)
    clouds = cv2.resize(rng.standard_normal((20, 26), np.float32), (208, 160))
    return np.asarray(np.clip(120 + 15 * clouds + 5 * rng.standard_normal((160, 208)), 0, 255), np.uint8)


def board(seed: int, shift: tuple[float, float] = (0, 0), degrees: float = 0.0) -> Gray:
    """A part of one design in a fixture: drawn, moved a little, lit a little otherwise, with the camera's grain."""
    drawn = np.full((160, 208), 60, np.uint8)
    design = np.random.default_rng(7)
    for _ in range(14):
        x, y, side, level = (int(v) for v in design.integers((10, 10, 8, 90), (180, 130, 40, 240)))
        cv2.rectangle(drawn, (x, y), (x + side, y + side // 2), level, -1)
    rng = np.random.default_rng(seed)
    way = cv2.getRotationMatrix2D((104, 80), degrees + rng.normal(0, 0.3), 1.0)
    way[:, 2] = way[:, 2] + np.array(shift) + rng.normal(0, 0.8, 2)
    lit = cv2.warpAffine(drawn, way, (208, 160), borderMode=cv2.BORDER_REPLICATE) * rng.normal(1.0, 0.02)
    return np.asarray(np.clip(np.rint(lit + rng.normal(0, 2, lit.shape)), 0, 255), np.uint8)


@pytest.fixture(scope="module")
def boards() -> Reference:
    known = reference_of([see(board(seed)) for seed in range(40)], scores=[0.1, 0.2])
    assert known is not None
    return known


def stopped(reference: Reference, image: Gray) -> list[str]:
    look = likened(see(image), picture_in(reference))
    return [outside.of.measure for outside in Gate(reference, None).broken(look)]


def test_parts_in_a_fixture_are_alike_and_one_out_of_place_is_noticed(boards: Reference) -> None:
    assert "likeness" in boards.looks
    assert [stopped(boards, board(seed)) for seed in range(100, 140)] == [[]] * 40
    for image in (board(1, (20, 0)), board(1, (0, -16)), board(1, degrees=8), board(1)[::-1].copy()):
        assert "likeness" in stopped(boards, image)


def test_textures_are_not_alike() -> None:
    known = reference_of([see(texture(seed)) for seed in range(40)])
    assert known is not None
    assert (known.picture, "likeness" in known.looks, known.scores, known.scored) == (None, False, None, 0)
    assert [stopped(known, texture(seed)) for seed in range(100, 140)] == [[]] * 40


def test_light_that_falls_from_one_side_makes_no_likeness() -> None:
    """It is alike in all, and would not show where a part lies."""
    fall = np.linspace(0.8, 1.2, 208, dtype=np.float32)
    known = reference_of([see(np.asarray(texture(seed) * fall, np.uint8)) for seed in range(40)])
    assert known is not None
    assert known.picture is None


def test_a_few_images_unlike_all_others_leave_no_likeness() -> None:
    known = reference_of([see(board(seed)) for seed in range(30)] + [see(255 - board(seed)) for seed in range(3)])
    assert known is not None
    assert known.picture is None


def test_images_of_one_part_do_not_make_it_alike_with_itself() -> None:
    """Six captures of each of four surfaces are like each other, and a fifth surface is like none."""
    shots = [(part, np.asarray(np.clip(texture(part) * light, 0, 255), np.uint8)) for part in range(4)
             for light in (0.9, 0.95, 1.0, 1.02, 1.05, 1.1)]  # fmt: skip
    known = reference_of([see(image, str(part)) for part, image in shots])
    assert known is not None
    assert known.picture is None
    alone = reference_of([see(board(seed), "the one") for seed in range(20)])
    assert alone is not None
    assert alone.picture is None


def test_few_images_or_none() -> None:
    assert reference_of([]) is None
    known = reference_of([see(board(seed)) for seed in range(3)])
    assert known is not None
    assert (known.images, known.picture) == (3, None)
    assert stopped(known, board(9)) == []


def test_tint_is_of_colour_images_only(boards: Reference) -> None:
    colour = reference_of([see(np.stack([board(seed)] * 3, axis=2)) for seed in range(9)])
    assert colour is not None
    assert "tint" in colour.looks
    assert "tint" not in boards.looks


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300))
def test_quantiles_ascend_from_the_least_to_the_greatest(values: list[float]) -> None:
    known = quantiles(values)
    assert len(known) == STEPS + 1
    assert list(known) == sorted(known)
    assert known[0] == pytest.approx(min(values), rel=1e-3)
    assert known[-1] == pytest.approx(max(values), rel=1e-3)


@given(st.integers(1, 100_000))
def test_never_more_than_so_many_are_measured(count: int) -> None:
    assert 0 < len(spread(count)) <= 2000
    assert count > 2000 or len(spread(count)) == count


def test_it_survives_the_recipe_file(boards: Reference, tiny_package: Package) -> None:
    recipe = tiny_package.recipe.model_copy(update={"reference": boards})
    text = recipe.to_json()
    assert Recipe.model_validate_json(text) == recipe
    assert len(text) - len(tiny_package.recipe.to_json()) < 10_000


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reference": {"images": 1, "looks": {}, "picture": "AAAA"}}, "a picture has 32×32 values"),
        ({"rules": {"inspectable": {"likeness": {"min": 0.5}}}}, "this recipe holds no picture to be like"),
        ({"rules": {"inspectable": {"tint": {"min": 0.5}}}}, "this recipe takes gray images"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changes: dict[str, object], says: str, tiny_package: Package) -> None:
    with pytest.raises(ValidationError, match=says):
        Recipe.model_validate({**tiny_package.recipe.model_dump(), **changes})


def test_a_difference_is_told_by_its_limits(boards: Reference, tiny_package: Package) -> None:
    def with_(reference: Reference | None) -> Package:
        return with_digest(
            replace(tiny_package, recipe=tiny_package.recipe.model_copy(update={"reference": reference}))
        )

    other = reference_of([see(board(seed)) for seed in range(50, 70)])
    told = [str(d) for d in differences(with_(boards), with_(other)) if d.section == "reference"]
    assert any(line.startswith("reference: sharpness: ") and "training" in line for line in told)
    assert any(line.startswith("reference: measured: 40 images, 2 scores, sha256:") for line in told)
    assert max(map(len, told)) < 200
    added = [d for d in differences(with_(None), with_(boards)) if d.section == "reference"]
    assert any(d.decides for d in added)
    assert differences(with_(boards), with_(boards)) == ()
