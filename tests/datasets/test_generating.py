"""Generated textures: what is defective is the texture, not its brightness."""

import hashlib
import json
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.datasets.flaws import outline
from onspec.datasets.labels import classes_of
from onspec.datasets.layouts import load
from onspec.datasets.painting import Generated
from onspec.datasets.splitting import assign
from onspec.datasets.synth import generate, kinds_of, label_mask, paint, paint_kinds
from onspec.datasets.textures import SIZE, TEXTURES
from onspec.domain import Ellipse, Polygon, Split, UsageError
from onspec.imaging.shapes import draw_polygon

IMAGES = 12
FAINTEST = 1e-9
"""A contrast at which nothing is left of a defect."""

every_texture = pytest.mark.parametrize("texture", range(len(TEXTURES)), ids=[t.name for t in TEXTURES])


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
def test_impossible_numbers_are_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
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


@cache
def defective(texture: int, n: int, contrast: float = 1) -> Generated:
    """What more than one test looks at."""
    return paint(texture, n, defective=True, contrast=contrast)


@cache
def good_energies(texture: int) -> NDArray[np.float32]:
    """float32 (places, 13) of good images."""
    images = [paint(texture, n, defective=False).image for n in range(3)]
    return np.concatenate([energies(image)[32:-32:24, 32:-32:24].reshape(-1, 13) for image in images])


def shares_that_stand_out(texture: int, contrast: float) -> tuple[float, float]:
    """Shares of the defects at whose centre the texture, and the brightness, are not as on the same good surface."""
    good = good_energies(texture)
    centre, spread = good.mean(axis=0), good.std(axis=0)
    strange, brightness = [], []
    for n in range(IMAGES):
        made = defective(texture, n, contrast)
        at = tuple(slice(round(v) - 40, round(v) + 41) for v in middle(made.labels[0]))
        z = (energies(made.image, (at[1], at[0]))[40, 40] - centre) / spread
        strange.append(np.abs(z[1:]).max())
        brightness.append(abs(z[0]))
    chance = np.quantile(np.abs((good[:, 1:] - centre[1:]) / spread[1:]).max(axis=1), 0.95)
    return float(np.mean(np.array(strange) > chance)), float(np.mean(np.array(brightness) > 3))


def middle(label: Ellipse | Polygon) -> tuple[float, float]:
    xs, ys = zip(*outline(label), strict=True)
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


@pytest.mark.slow
@every_texture
def test_texture_tells_and_brightness_does_not(texture: int) -> None:
    strange, bright = shares_that_stand_out(texture, 1)
    assert strange >= 0.75
    assert bright <= 0.1


@pytest.mark.slow
@every_texture
def test_without_contrast_the_surface_is_good(texture: int) -> None:
    strange, bright = shares_that_stand_out(texture, FAINTEST)
    assert strange <= 0.25
    assert bright <= 0.1


@pytest.mark.slow
@every_texture
def test_the_fainter_the_contrast_the_less_differs_from_the_good_surface(texture: int) -> None:
    """Against the good surface of the same random numbers, within the label and on the average over images."""
    differences = np.zeros((4, 6))
    for n in range(differences.shape[1]):
        good = defective(texture, n, FAINTEST)
        inside = label_mask(good.labels[0]).astype(bool)
        for place, contrast in enumerate((0.01, 0.25, 0.5, 1)):
            image = defective(texture, n, contrast).image
            differences[place, n] = np.abs(image.astype(np.float32) - good.image)[inside].mean()
    mean = differences.mean(axis=1)
    assert (np.diff(mean) > 0).all()
    assert mean[0] < mean[-1] / 4


@pytest.mark.slow
@every_texture
@pytest.mark.parametrize("contrast", [1, 0.5])
def test_the_mean_gray_is_kept_and_labels_are_coarse_ellipses(texture: int, contrast: float) -> None:
    differences = []
    for n in range(IMAGES):
        made = defective(texture, n, contrast)
        inside = label_mask(made.labels[0]).astype(bool)
        assert 0.003 < inside.mean() < 0.08
        differences.append(float(made.image[inside].mean()) - float(made.image[~inside].mean()))
        assert made.image.std() > 20
        assert ((made.image == 0) | (made.image == 255)).mean() < 0.05
    assert abs(np.mean(differences)) < 3


@pytest.mark.slow
@every_texture
def test_size_scales_the_defect(texture: int) -> None:
    normal = [label_mask(defective(texture, n).labels[0]).mean() for n in range(IMAGES)]
    small = [label_mask(paint(texture, n, defective=True, size=0.3).labels[0]).mean() for n in range(IMAGES)]
    assert np.array(small) == pytest.approx(0.09 * np.array(normal), rel=0.05)
    assert np.mean(small) < 0.0035


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"contrast": 0}, "contrast is 0; choose a number over 0 and up to 1"),
        ({"contrast": 1.5}, "contrast is 1.5; choose a number over 0 and up to 1"),
        ({"contrast": float("nan")}, "contrast is nan; choose a number over 0 and up to 1"),
        ({"size": 0.1}, "size is 0.1; choose 0.2 … 2"),
        ({"size": 3}, "size is 3; choose 0.2 … 2"),
        ({"layout": "zip"}, "Unknown layout 'zip'; choose dagm, coco, folders"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(wrong: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        generate(tmp_path / "out", **wrong)
    assert str(refused.value) == sentence
    assert not list(tmp_path.iterdir())
    if "layout" not in wrong:
        for painter in (paint_kinds, lambda *at, **look: paint(*at, defective=True, **look)):
            with pytest.raises(UsageError):
                painter(0, 0, **wrong)


SIGNATURES = {
    "brushed": ([-4575, -14425, 19985, 112103], [17973, -22465, 46623, 87081]),
    "woven": ([35768, 688, 71046, 70874], [13729, -9275, 58821, 116427]),
    "blobs": ([10172, 10676, 32070, 70914], [-10389, -21483, 52619, 66403]),
    "grains": ([10106, -374, 40526, 100372], [3037, -23409, 11359, 96493]),
    "fibres": ([16973, 1193, 37753, 103851], [28391, -2895, 72139, 80309]),
    "dots": ([-34542, -6894, 21548, 119832], [-15119, -19223, 37563, 79989]),
    "leather": ([-6647, -29943, 43599, 100891], [-2701, -12633, 35941, 105607]),
    "cast": ([-1907, 6735, 66177, 87559], [8765, -1563, 54011, 72903]),
    "turned": ([-10281, -17937, 54035, 79475], [26601, -10839, 48739, 72243]),
    "knitted": ([4175, -5253, 17685, 96253], [2720, -2558, 25396, 83006]),
}


@every_texture
def test_published_images_stay_what_they_are(texture: int) -> None:
    """Figures rest on these images. Sums over random halves of all pixels, which another gray level of one pixel
    changes by 1: processors round the last bit in their own ways, and a few pixels in a million follow.
    """
    halves = np.random.default_rng(0).integers(0, 2, (4, SIZE * SIZE)) * 2 - 1
    for defective, expected in zip((False, True), SIGNATURES[TEXTURES[texture].name], strict=True):
        image = paint(texture, 1, defective=defective).image
        assert np.abs(halves @ image.ravel().astype(np.int64) - expected).max() <= 4


@pytest.mark.slow
@every_texture
def test_every_kind_lies_within_its_label_and_keeps_the_mean(texture: int) -> None:
    for kind in kinds_of(texture):
        outside, brightness = [], []
        for n in range(4):
            made, good = (paint_kinds(texture, n, [kind], contrast=contrast) for contrast in (1, FAINTEST))
            assert [label.cls for label in made.labels] == [kind]
            inside = label_mask(made.labels[0]).astype(bool)
            change = made.image.astype(np.float32) - good.image
            outside.append(np.square(change[~inside]).sum() / np.square(change).sum())
            brightness.append(float(made.image[inside].mean()) - float(made.image[~inside].mean()))
        assert np.mean(outside) < (0.35 if TEXTURES[texture].name == "fibres" else 0.15)  # a fibre is a long thing
        assert abs(np.mean(brightness)) < 6


def test_one_to_three_kinds_lie_apart() -> None:
    counts = []
    for n in range(30):
        made = paint_kinds(n % len(TEXTURES), n)
        counts.append(len(made.labels))
        assert len({label.cls for label in made.labels}) == len(made.labels)
        assert all(0 < v < SIZE for label in made.labels for point in outline(label) for v in point)
        masks = [label_mask(label) for label in made.labels]
        assert not any((one & other).any() for one, other in combinations(masks, 2))
    assert set(counts) == {1, 2, 3}


def test_large_defects_find_a_place_or_are_left_out() -> None:
    counts = [len(paint_kinds(0, n, kinds_of(0), size=2).labels) for n in range(12)]
    assert min(counts) >= 1
    assert max(counts) == 3


def test_a_kind_that_a_texture_has_not_is_refused() -> None:
    with pytest.raises(UsageError, match="Unknown kind of defect 'rust'; brushed has direction, scratch, worn"):
        paint_kinds(0, 0, ["rust"])


def test_textures_differ() -> None:
    """Each texture's good images are nearest to their own kind, so they are different statistics, not one."""
    features = [
        [energies(paint(t, n, defective=False).image, np.s_[100:300, 100:300]).mean(axis=(0, 1)) for n in range(2)]
        for t in range(len(TEXTURES))
    ]
    first, second = np.array([f[0] for f in features]), np.array([f[1] for f in features])
    nearest = np.linalg.norm((first[:, None] - second[None])[..., 1:], axis=-1).argmin(axis=1)
    assert nearest.tolist() == list(range(len(TEXTURES)))


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synth") / "coco"
    generate(out, textures=2, good=4, defective=12, seed=7, layout="coco")
    return out


@pytest.mark.parametrize("split", ["train", "test"])
def test_coco_outlines_every_defect(coco: Path, split: str) -> None:
    content = json.loads((coco / split / "_annotations.coco.json").read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    assert sorted(names.values()) == sorted(p.name for p in (coco / split).glob("*.png"))
    assert len(names) == 2 * (2 + 6)
    classes = {c["id"]: c["name"] for c in content["categories"]}
    assert list(classes.values()) == ["direction", "scratch", "worn", "weave"]
    seen = {classes[a["category_id"]] for a in content["annotations"]}
    assert seen == set(classes.values())
    marked = [a["image_id"] for a in content["annotations"]]
    assert len(set(marked)) == 2 * 6  # the good images have none
    assert max(marked.count(image) for image in marked) <= 3
    assert [a["id"] for a in content["annotations"]] == list(range(1, len(marked) + 1))
    for annotation in content["annotations"]:
        points = np.array(annotation["segmentation"][0]).reshape(-1, 2)
        x, y, width, height = annotation["bbox"]
        assert (x, y) == tuple(points.min(axis=0))
        assert (x + width, y + height) == pytest.approx(tuple(points.max(axis=0)), abs=0.011)
        mask = np.zeros((SIZE, SIZE), np.uint8)
        draw_polygon(mask, [[(float(px), float(py)) for px, py in points]])
        assert mask.sum() == pytest.approx(annotation["area"], rel=0.05)


def test_cocos_polygons_are_the_labels() -> None:
    for n in range(6):
        for label in paint_kinds(n, n).labels:
            mask = np.zeros((SIZE, SIZE), np.uint8)
            draw_polygon(mask, [outline(label)])
            exact = label_mask(label)
            assert 2 * (mask & exact).sum() / (mask.sum() + exact.sum()) > 0.98


def test_folders_hold_a_kind_each(tmp_path: Path) -> None:
    generate(tmp_path / "set", textures=2, good=4, defective=12, seed=7, layout="folders")
    counts = {p.relative_to(tmp_path / "set").as_posix(): len(list(p.glob("*.png"))) for p in tmp_path.glob("set/*/*")}
    of_split = {"good": 4, "direction": 2, "weave": 2, "scratch": 4, "worn": 4}
    assert counts == {f"{split}/{kind}": count for split in ("train", "test") for kind, count in of_split.items()}


def test_the_options_reach_every_layout(coco: Path, tmp_path: Path) -> None:
    generate(tmp_path / "again", textures=2, good=4, defective=12, seed=7, layout="coco")
    assert digests(tmp_path / "again") == digests(coco)
    for layout in ("dagm", "coco", "folders"):
        made = []
        for name, contrast, size in (("normal", 1, 1), ("faint", 0.5, 1), ("small", 1, 0.5)):
            out = tmp_path / layout / name
            generate(out, textures=1, good=1, defective=1, layout=layout, contrast=contrast, size=size)
            made.append({n: d for n, d in digests(out).items() if n.lower().endswith("1.png")})
        assert len({tuple(m.values()) for m in made}) == 3
        assert len({tuple(m) for m in made}) == 1


def test_onspec_reads_what_it_generates(coco: Path, tmp_path: Path) -> None:
    dataset = load(coco)
    assert (dataset.layout, dataset.good, dataset.defective, dataset.problems) == ("coco", 8, 24, ())
    assert classes_of(dataset.samples) == ("direction", "scratch", "weave", "worn")
    assert all(isinstance(a, Polygon) for s in dataset.samples for a in s.annotations)
    generate(tmp_path, textures=1, good=2, defective=6, layout="folders")
    folders = load(tmp_path)
    assert (folders.layout, folders.good, folders.defective, folders.problems) == ("folders", 2, 6, ())
    assert classes_of(folders.samples) == ("direction", "scratch", "worn")
