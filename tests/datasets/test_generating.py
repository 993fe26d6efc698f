"""Generated textures: what is defective is the texture, not its brightness."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.layouts import load
from onspec.datasets.splitting import assign
from onspec.datasets.synth import generate, label_mask, paint
from onspec.datasets.textures import TEXTURES
from onspec.domain import Split, UsageError

IMAGES = 12


def digests(root: Path) -> dict[str, str]:
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "new" / "set"
    generate(out, textures=2, good=3, defective=4, seed=7)
    return out


def test_it_is_dagms_official_layout(small: Path) -> None:
    dataset = load(small)
    assert (dataset.layout, dataset.good, dataset.defective, dataset.problems) == ("dagm", 6, 8, ())
    train = [s for s in dataset.samples if s.split is Split.TRAIN]
    assert (len(train), sum(s.defective for s in train)) == (8, 4)
    assert set(assign(dataset).values()) == set(Split)
    text = (small / "Class1/Train/Label/Labels.txt").read_bytes().decode()
    assert text.startswith("1\n0001\t")
    for row in text.splitlines()[1:]:
        number, defective, image, zero, label = row.split("\t")[:5]
        assert (image, zero, label) == (f"{number}.PNG", "0", f"{number}_label.PNG" if defective == "1" else "0")
        assert row.endswith("\t") is (defective == "0")
        assert (small / "Class1/Train" / image).is_file()
        assert (small / "Class1/Train/Label" / f"{number}_label.PNG").is_file() is (defective == "1")


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(small: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", textures=2, good=3, defective=4, seed=7)
    assert digests(tmp_path / "again") == digests(small)
    generate(tmp_path / "other", textures=2, good=3, defective=4, seed=8)
    assert not set(digests(tmp_path / "other").values()) & {d for n, d in digests(small).items() if n.endswith("1.PNG")}


def test_more_images_change_none(small: Path, tmp_path: Path) -> None:
    generate(tmp_path / "more", textures=2, good=5, defective=6, seed=7)
    assert {d for n, d in digests(small).items() if n.endswith(".PNG")} <= set(digests(tmp_path / "more").values())


@pytest.mark.parametrize("content", ["file", "folder"])
def test_nothing_is_overwritten(content: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if content == "file":
        out.write_text("mine")
    else:
        (out / "mine").mkdir(parents=True)
    with pytest.raises(UsageError, match="is not empty; choose a folder that is new or empty"):
        generate(out, textures=1, good=1, defective=1)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    generate(tmp_path, textures=1, good=1, defective=1)
    assert [p.name for p in tmp_path.iterdir()] == ["Class1"]


@pytest.mark.parametrize("wrong", [{"textures": 0}, {"textures": 99}, {"good": -1}, {"good": 0, "defective": 1}])
def test_impossible_numbers_are_refused(wrong: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        generate(tmp_path / "out", **wrong)
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("onspec.datasets.synth.write_image", full)
    with pytest.raises(UsageError, match="No space left"):
        generate(tmp_path / "out", textures=1, good=1, defective=1)
    assert not list(tmp_path.iterdir())


def energies(image: NDArray[np.uint8], where: tuple[slice, slice] = np.s_[:, :]) -> NDArray[np.float32]:
    """float32 (H, W, 13): gray, and the log energy of waves of 3 lengths in 4 directions, averaged over about 30 px."""
    gray = image[where].astype(np.float32) - float(image.mean())
    maps = [cv2.GaussianBlur(gray, (0, 0), 12)]
    for wavelength in (4.0, 8.0, 16.0):
        side = int(wavelength * 1.6) | 1
        for quarter in range(4):
            turn = quarter * np.pi / 4
            even = cv2.getGaborKernel((side, side), wavelength / 2.5, turn, wavelength, 1, 0, cv2.CV_32F)
            odd = cv2.getGaborKernel((side, side), wavelength / 2.5, turn, wavelength, 1, np.pi / 2, cv2.CV_32F)
            energy = sum(cv2.filter2D(gray, cv2.CV_32F, k - k.mean()) ** 2 for k in (even, odd))
            maps.append(np.log(cv2.GaussianBlur(np.asarray(energy), (0, 0), 12) + 1e-3))
    return np.stack(maps, axis=-1)


@pytest.mark.parametrize("texture", range(len(TEXTURES)), ids=[t.name for t in TEXTURES])
def test_texture_tells_and_brightness_does_not(texture: int) -> None:
    """At the centre of the label, against the same texture's good surface."""
    good = np.concatenate(
        [energies(paint(texture, n, defective=False).image)[32:-32:24, 32:-32:24].reshape(-1, 13) for n in range(3)]
    )
    centre, spread = good.mean(axis=0), good.std(axis=0)
    strange, brightness = [], []
    for n in range(IMAGES):
        made = paint(texture, n, defective=True)
        assert made.label is not None
        at = (
            slice(round(made.label.y) - 40, round(made.label.y) + 41),
            slice(round(made.label.x) - 40, round(made.label.x) + 41),
        )
        z = (energies(made.image, at)[40, 40] - centre) / spread
        strange.append(np.abs(z[1:]).max())
        brightness.append(abs(z[0]))
    chance = np.quantile(np.abs((good[:, 1:] - centre[1:]) / spread[1:]).max(axis=1), 0.95)
    assert np.mean(np.array(strange) > chance) >= 0.75
    assert np.mean(np.array(brightness) > 3) <= 0.1


@pytest.mark.parametrize("texture", range(len(TEXTURES)), ids=[t.name for t in TEXTURES])
def test_the_mean_gray_is_kept_and_labels_are_coarse_ellipses(texture: int) -> None:
    differences = []
    for n in range(IMAGES):
        made = paint(texture, n, defective=True)
        assert made.label is not None
        inside = label_mask(made.label).astype(bool)
        assert 0.003 < inside.mean() < 0.08
        differences.append(float(made.image[inside].mean()) - float(made.image[~inside].mean()))
        assert made.image.std() > 20
        assert ((made.image == 0) | (made.image == 255)).mean() < 0.05
    assert abs(np.mean(differences)) < 3


def test_textures_differ() -> None:
    """Each texture's good images are nearest to their own kind, so they are different statistics, not one."""
    features = [
        [energies(paint(t, n, defective=False).image, np.s_[100:300, 100:300]).mean(axis=(0, 1)) for n in range(2)]
        for t in range(len(TEXTURES))
    ]
    first, second = np.array([f[0] for f in features]), np.array([f[1] for f in features])
    nearest = np.linalg.norm((first[:, None] - second[None])[..., 1:], axis=-1).argmin(axis=1)
    assert nearest.tolist() == list(range(len(TEXTURES)))
