"""Painted defects are where the mask says, can be seen, and come from the generator alone."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import Generator

from onspec.datasets.synth import paint as paint_texture
from onspec.imaging.reading import Image, read_image
from onspec.training.defect_kinds import KINDS, Kind
from onspec.training.defect_shapes import SHAPES, Field
from onspec.training.defect_spot import Spot
from onspec.training.harmless import PATCHES
from onspec.training.synthetic import Synthesiser, painted_at, placed
from onspec.training.visibility import texture_of

SIDE = 96


def noise(rng: Generator) -> Image:
    return np.clip(rng.normal(120, 25, (SIDE, SIDE)), 0, 255).astype(np.uint8)


def twelve_bit(rng: Generator) -> Image:
    return np.clip(rng.normal(1800, 300, (SIDE, SIDE)), 0, 4095).astype(np.uint16)


def flat(rng: Generator) -> Image:
    return np.full((SIDE, SIDE), int(rng.integers(256)), np.uint8)


def tracks(rng: Generator) -> Image:
    """Black and white stripes, as of a circuit board."""
    columns = (np.arange(SIDE) + int(rng.integers(24))) // 12 % 2 * 255
    return np.tile(columns.astype(np.uint8), (SIDE, 1))


def coloured(rng: Generator) -> Image:
    return np.stack([noise(rng), noise(rng) // 2, noise(rng) // 3], axis=2)


def grains(rng: Generator) -> Image:
    y, x = rng.integers(0, 512 - SIDE, 2)
    return paint_texture(3, int(rng.integers(2)), defective=False).image[y : y + SIDE, x : x + SIDE].copy()


SURFACES: dict[str, Callable[[Generator], Image]] = {
    "noise": noise,
    "12 bit": twelve_bit,
    "flat": flat,
    "tracks": tracks,
    "colour": coloured,
    "grains": grains,
}


def good(surface: str, seed: int) -> tuple[Synthesiser, Image]:
    """A synthesiser for a surface, and a good crop of it."""
    rng = np.random.default_rng(seed)
    make = SURFACES[surface]
    return Synthesiser([make(rng) for _ in range(3)]), make(rng)


@pytest.mark.slow
@pytest.mark.parametrize("surface", SURFACES)
@given(seed=st.integers(0, 2**32))
def test_a_painted_crop_differs_where_the_mask_says_and_nowhere_else(surface: str, seed: int) -> None:
    synthesiser, crop = good(surface, seed)
    before = crop.copy()
    painted, mask = synthesiser.paint(crop, np.random.default_rng(seed))
    np.testing.assert_array_equal(crop, before)
    assert (painted.dtype, painted.shape) == (crop.dtype, crop.shape)
    assert mask.dtype == np.uint8
    assert (mask.shape, int(mask.max())) == (crop.shape[:2], 1)
    differs = (painted != crop) if crop.ndim == 2 else (painted != crop).any(axis=2)
    near = cv2.dilate(mask, np.ones((7, 7), np.uint8)) > 0
    assert not differs[~near].any()
    assert differs[mask > 0].mean() > 0.1


@pytest.mark.parametrize("surface", SURFACES)
def test_a_defect_is_a_function_of_the_generator(surface: str) -> None:
    synthesiser, crop = good(surface, 3)

    def painted(seed: int) -> list[Image]:
        rng = np.random.default_rng(seed)
        return [*synthesiser.paint(crop, rng), synthesiser.harmless(crop, rng)]

    alone = [painted(seed) for seed in range(20)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(painted, range(20)))
    for a, b in zip(alone, together, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert len({a[0].tobytes() for a in alone}) == 20


@pytest.mark.parametrize("surface", ["noise", "grains"])
def test_defects_are_of_all_sizes(surface: str) -> None:
    rng = np.random.default_rng(0)
    synthesiser, crop = good(surface, 0)
    shares = np.sort([float(synthesiser.paint(crop, rng)[1].mean()) for _ in range(250)])
    assert shares[12] < 0.01
    assert shares[-12] > 0.12
    assert shares[-1] < 0.6
    assert 0.01 < np.median(shares) < 0.1


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_can_be_seen_on_some_surface(name: str) -> None:
    found = 0
    for surface in ("noise", "grains", "tracks", "colour"):
        synthesiser, crop = good(surface, 1)
        rng, texture = np.random.default_rng(1), texture_of(crop)
        for _ in range(15):
            spot = placed(crop, synthesiser.surface, KINDS[name], 24, rng)
            found += spot is not None and painted_at(spot, KINDS[name], texture, rng) is not None
    assert found >= 6


@pytest.mark.parametrize("name", ["turned", "zoomed", "smeared", "shuffled", "blurred", "sharpened"])
def test_a_disturbed_texture_keeps_its_mean(name: str) -> None:
    synthesiser, crop = good("noise", 2)
    rng = np.random.default_rng(2)
    for _ in range(20):
        spot = placed(crop, synthesiser.surface, KINDS[name], 12, rng)
        if spot is not None:
            difference = KINDS[name].change(spot, rng) - spot.ground
            assert abs(float(difference.sum() / spot.cover.sum())) < 0.01
            assert np.abs(difference).max() > 10


def test_what_cannot_be_seen_is_not_painted() -> None:
    """On noise, other noise of the same statistics is no defect, although every pixel is another."""

    def other_noise(spot: Spot, rng: Generator) -> Field:
        return spot.over(np.asarray(rng.normal(120, 25, spot.cover.shape), np.float32))

    synthesiser, crop = good("noise", 4)
    rng, texture = np.random.default_rng(4), texture_of(crop)
    same = Kind(other_noise, ("blob", "plate"))
    spots = [placed(crop, synthesiser.surface, same, 8, rng) for _ in range(100)]
    seen = [painted_at(spot, same, texture, rng) for spot in spots if spot is not None]
    assert sum(painted is not None for painted in seen) <= 0.05 * len(seen)


def test_stronger_changes_are_seen_and_fainter_ones_are_not() -> None:
    def brighter(by: float) -> Kind:
        return Kind(lambda spot, rng: spot.over(spot.ground + np.float32(by)), ("ellipse",))

    synthesiser, crop = good("noise", 5)
    texture = texture_of(crop)
    seen = {}
    for by in (1.0, 100.0):
        rng = np.random.default_rng(5)
        spots = [placed(crop, synthesiser.surface, brighter(by), 8, rng) for _ in range(40)]
        seen[by] = sum(s is not None and painted_at(s, brighter(by), texture, rng) is not None for s in spots)
    assert seen[1.0] == 0
    assert seen[100.0] >= 30


@pytest.mark.parametrize("surface", SURFACES)
def test_what_is_harmless_stays_good(surface: str) -> None:
    synthesiser, crop = good(surface, 6)
    rng = np.random.default_rng(6)
    before = crop.copy()
    unit = synthesiser.surface.step
    changed = 0
    for _ in range(40):
        other = synthesiser.harmless(crop, rng)
        assert (other.dtype, other.shape) == (crop.dtype, crop.shape)
        changed += not np.array_equal(other, crop)
        difference = other.astype(np.float32) - crop
        blocks = cv2.resize(difference, (8, 8), interpolation=cv2.INTER_AREA)
        assert np.abs(blocks).max() < 5 * unit
    np.testing.assert_array_equal(crop, before)
    assert changed >= 8


@pytest.mark.parametrize("name", PATCHES)
def test_a_harmless_patch_goes_on_with_the_pattern(name: str) -> None:
    """Stripes stay stripes: a shifted piece of them would be a defect."""
    synthesiser, crop = good("tracks", 7)
    rng = np.random.default_rng(7)
    kind = Kind(PATCHES[name], ("ellipse",))
    for _ in range(20):
        spot = placed(crop, synthesiser.surface, kind, 12, rng)
        if spot is not None:
            off = np.abs(kind.change(spot, rng) - spot.ground) > 128
            assert off.mean() < 0.02


@pytest.mark.parametrize("name", SHAPES)
@given(seed=st.integers(0, 2**32), side=st.floats(4, 150))
def test_a_shape_has_about_the_area_that_is_asked_for(name: str, seed: int, side: float) -> None:
    outline = SHAPES[name].draw(side, 256.0, np.random.default_rng(seed))
    cover = outline.cover
    assert cover.dtype == np.float32
    assert 0 <= cover.min() <= cover.max() <= 1
    assert cover.max() > 0.3
    assert outline.thickness >= 1
    area = float(cover.sum())
    if name in {"crack", "scratch"}:
        assert max(cover.shape) <= 1.5 * 256 + 30  # a branch may leave from the end, half as long as the line
        assert area < 12 * 256 * 6
    else:
        assert 0.2 * side**2 <= area <= 3 * side**2 + 12
    assert max(cover[0].max(), cover[-1].max(), cover[:, 0].max(), cover[:, -1].max()) < 0.25


def test_images_of_two_kinds_are_refused() -> None:
    gray, colour = np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match=r"got \['uint8 RGB', 'uint8 gray'\]"):
        Synthesiser([gray, colour])
    with pytest.raises(ValueError, match=r"one or more"):
        Synthesiser([])
    for method in (Synthesiser([gray]).paint, Synthesiser([gray]).harmless):
        with pytest.raises(ValueError, match=r"must be uint8 of 2 axes .* got uint16 \(8, 8\)"):
            method(gray.astype(np.uint16), np.random.default_rng(0))


def test_painting_needs_no_torch() -> None:
    code = "import onspec.training.synthetic, sys; assert not {'torch', 'lightning'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.real
@pytest.mark.parametrize("pattern", ["magnetic_tile/MT_Free/Imgs/exp1_*.jpg", "deeppcb/PCBData/*/*/*_temp.jpg"])
def test_on_real_good_parts(real_data: Path, pattern: str) -> None:
    images = [read_image(path) for path in sorted(real_data.glob(pattern))[:12]]
    images = [image if image.ndim == 2 else image[..., 0].copy() for image in images]
    synthesiser, rng = Synthesiser(images), np.random.default_rng(0)
    shares = []
    for image in images * 4:
        crop = image[:192, :192]
        painted, mask = synthesiser.paint(crop, rng)
        near = cv2.dilate(mask, np.ones((7, 7), np.uint8)) > 0
        assert (painted == crop)[~near].all()
        assert (painted != crop)[mask > 0].mean() > 0.1
        shares.append(float(mask.mean()))
    assert min(shares) < 0.01
    assert max(shares) > 0.05
