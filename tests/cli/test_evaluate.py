"""`onspec evaluate`."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.imaging.writing import write_image
from onspec.recipe.draft import write_draft
from onspec.recipe.package import Package
from onspec.recipe.schema import Recipe

Run = Callable[..., tuple[int, str, str]]
Part = Callable[..., NDArray[np.uint8]]
ODD = "<script>.png"
SPOT = (30, 20, 10, 6)


@pytest.fixture
def data(tmp_path: Path, make_part: Part) -> Path:
    """Six good parts and six defective ones with a spot, of which one is labelled a little to the right."""
    folder = tmp_path / "parts"
    for i in range(6):
        good, bad = f"good{i}.png", ODD if i == 0 else f"bad{i}.png"
        for name, image in ((good, make_part()), (bad, make_part(SPOT))):
            image[0, i] = 0  # no two images are the same file: copies would be taken for one part
            write_image(folder / "images" / name, image)
        write_image(folder / "masks" / bad, make_mask(make_part, shift=5 if i == 1 else 0))
    return folder


def make_mask(make_part: Part, shift: int = 0) -> NDArray[np.uint8]:
    """0/255 over the spot, or beside it."""
    x, y, w, h = SPOT
    return np.where(make_part((x + shift, y, w, h)) > 200, 255, 0).astype(np.uint8)


@pytest.fixture
def run(tiny_package: Package, tmp_path: Path) -> Path:
    """A run whose split has good and bad 0 and 1 to train on, 2 to validate on, the rest to test on."""
    folder = tmp_path / "run"
    write_draft(folder, tiny_package.recipe, tiny_package.model, [])
    rows = [(f"images/good{i}.png", i) for i in range(6)] + [(f"images/bad{i}.png", i) for i in range(1, 6)]
    write_split(folder / "split.csv", [*rows, (f"images/{ODD}", 5)])
    (folder / "curves.jsonl").write_text('{"step": 1, "loss": 0.9}\n{"step": 2, "loss": 0.4, "val_dice": 0.5}\n{"st')
    return folder


def write_split(path: Path, rows: list[tuple[str, int]]) -> None:
    split = {0: "train", 1: "train", 2: "val"}
    path.write_text("image,split,part\n" + "".join(f"{n},{split.get(i, 'test')},{n}\n" for n, i in rows))


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / "predictions.csv").open(newline="") as file:
        return {row["image"]: row for row in csv.DictReader(file)}


def test_metrics_predictions_and_report(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "a" / "evaluation"
    code, said, err = onspec("evaluate", run, data, "--out", out)
    assert code == 0
    assert "3 good, 4 defective (test)" in said
    assert "0 of 4 (95 % interval 0 % to 60.2 %)" in said
    assert err.splitlines()[0].startswith("7 images (split as for training")
    assert "\r" not in err
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["images"] == {"good": 3, "defective": 4}
    assert metrics["image"]["average_precision"] == 1.0
    assert metrics["pixel"]["dice"] == pytest.approx(1.0)
    assert metrics["notes"] == []
    assert metrics["provenance"]["recipe"].startswith("tiny@sha256:")
    rows = rows_of(out)
    assert set(rows) == {f"images/{n}" for n in (ODD, *(f"{k}{i}.png" for k in ("good", "bad") for i in (3, 4, 5)))}
    found = rows[f"images/{ODD}"]
    assert (found["truth"], found["verdict"], found["defects"], found["area_px"]) == ("defective", "NG", "1", "60")
    assert (found["dice"], rows["images/good3.png"]["dice"], found["error"]) == ("1", "", "")
    html = (out / "report.html").read_text()
    assert "Learning curves" in html
    assert "&lt;script&gt;.png" in html
    assert html.count("<script") == 2
    assert ODD not in html


@pytest.mark.slow
def test_json_on_stdout(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    code, said, _ = onspec("evaluate", run, data, "--out", tmp_path / "e", "--json")
    assert code == 0
    assert json.loads(said) == json.loads((tmp_path / "e" / "metrics.json").read_text())


def test_dice_and_iou_against_a_label_beside_the_spot(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    onspec("evaluate", run, data, "--out", tmp_path / "e", "--split", "train")
    row = rows_of(tmp_path / "e")["images/bad1.png"]  # half of 10 px is common, of the union a third
    assert (float(row["dice"]), float(row["iou"])) == pytest.approx((0.5, 1 / 3), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "says", "images"),
    [("train", "trained on these", 3), ("val", "chosen on these", 2), ("all", "part of", 12)],
)
def test_images_that_training_saw_are_noted(
    split: str, says: str, images: int, onspec: Run, run: Path, data: Path, tmp_path: Path
) -> None:
    code, said, _ = onspec("evaluate", run, data, "--out", tmp_path / "e", "--split", split)
    assert code == 0
    assert f"{says} images" in said or f"{says} these images" in said
    assert len(rows_of(tmp_path / "e")) == images
    assert says in (tmp_path / "e" / "report.html").read_text()


def test_one_bad_image_is_an_error_and_never_ok(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    """One whose label is bad is judged, and its verdict counts."""
    broken = data / "images" / "bad4.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    write_image(data / "masks" / "bad5.png", np.full((9, 9), 255, np.uint8))
    code, said, _ = onspec("evaluate", run, data, "--out", tmp_path / "e")
    assert code == 1
    assert "not judged         1" in said
    rows = rows_of(tmp_path / "e")
    assert [rows[f"images/bad{i}.png"]["verdict"] for i in (3, 4, 5)] == ["NG", "ERROR", "NG"]
    assert "truncated" in rows["images/bad4.png"]["error"]
    assert "9×9" in rows["images/bad5.png"]["error"]
    assert rows["images/bad4.png"]["score"] == rows["images/bad4.png"]["defects"] == ""
    assert rows["images/bad5.png"]["dice"] == ""
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert (metrics["errors"], metrics["images"]["defective"], metrics["image"]["escapes"]) == (1, 3, 0)
    assert any("Labels that cannot be used: 1;" in note for note in metrics["notes"])
    assert "truncated" in (tmp_path / "e" / "report.html").read_text()


def test_rules_decide_the_verdict(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules:\n  - name: large\n    when: {min_area_px: 1000}\n")
    onspec("pack", run, "--out", tmp_path / "x.onspec", "--rules", tmp_path / "rules.yaml")
    code, said, _ = onspec("evaluate", tmp_path / "x.onspec", data, "--out", tmp_path / "e")
    assert code == 0
    assert "4 of 4" in said
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert (metrics["image"]["escapes"], metrics["image"]["average_precision"]) == (4, 1.0)
    assert "Escapes: 4" in (tmp_path / "e" / "report.html").read_text()


@pytest.mark.slow
def test_rules_decide_at_other_thresholds_too(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    """The spot has 60 px: a rule about more than that accepts it at every threshold, one about less at none."""
    for least, caught in ((50, 4), (1000, 0)):
        (tmp_path / "rules.yaml").write_text(f"rules:\n  - name: large\n    when: {{min_area_px: {least}}}\n")
        packed = tmp_path / f"x{least}.onspec"
        onspec("pack", run, "--out", packed, "--rules", tmp_path / "rules.yaml")
        onspec("evaluate", packed, data, "--out", tmp_path / "e")
        html = (tmp_path / "e" / "report.html").read_text()
        table = json.loads(html.partition('id="what-if-data">')[2].partition("</script>")[0])["counts"]["images"]
        assert table["defective"] - min(table["escapes"]) == caught


def test_zones_and_sizes_in_mm(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    zones = "zones:\n  face: {rectangle: [25, 15, 30, 30]}\n  rim: {rectangle: [0, 0, 96, 5], use: ignore}\n"
    (tmp_path / "rules.yaml").write_text(f"pixel_size_mm: 0.5\n{zones}")
    onspec("pack", run, "--out", tmp_path / "x.onspec", "--rules", tmp_path / "rules.yaml")
    code, *_ = onspec("evaluate", tmp_path / "x.onspec", data, "--out", tmp_path / "e")
    assert code == 0
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert {name: zone["defects"] for name, zone in metrics["zones"].items()} == {"face": 4, "rim": 0, "elsewhere": 0}
    assert metrics["zones"]["face"]["found"] == 4
    assert metrics["zones"]["rim"]["found"] is None
    assert metrics["detectability"]["unit"] == "mm"
    assert metrics["detectability"]["largest"] == pytest.approx(60**0.5 / 2)
    assert "4 defects of known size are too few" in metrics["detectability"]["reason"]
    assert [kind["kind"] for kind in metrics["kinds"]] == ["2 to 4 mm"]
    assert "Each zone" in (tmp_path / "e" / "report.html").read_text()


@pytest.mark.slow
def test_what_errors_cost(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    onspec("evaluate", run, data, "--out", tmp_path / "e")
    costs = json.loads((tmp_path / "e" / "metrics.json").read_text())["costs"]
    assert (costs["escape_cost"], costs["false_reject_cost"], costs["share_given"]) == (20, 1, False)
    assert (costs["at_threshold"], costs["defect_share"]) == (0, pytest.approx(4 / 7))
    options = ("--escape-cost", 50, "--false-reject-cost", 2, "--defect-share", 0.01)
    code, said, _ = onspec("evaluate", run, data, "--out", tmp_path / "e", *options)
    assert code == 0
    assert "cost a part        0, an escape 50" in said
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert (metrics["costs"]["all_ok"], metrics["costs"]["all_ng"]) == (pytest.approx(0.5), pytest.approx(1.98))
    assert "--escape-cost 50 --false-reject-cost 2 --defect-share 0.01" in metrics["provenance"]["command"]
    assert "an escape costing 50, a false reject 2 and 1 % of the parts" in (tmp_path / "e" / "report.html").read_text()


def test_a_packed_recipe_carries_the_split(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    onspec("pack", run, "--out", tmp_path / "x.onspec")
    onspec("evaluate", tmp_path / "x.onspec", data, "--out", tmp_path / "e")
    assert len(rows_of(tmp_path / "e")) == 7
    assert "Learning curves" not in (tmp_path / "e" / "report.html").read_text()


def test_a_split_file_wins(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    names = sorted(p.name for p in (data / "images").iterdir())
    rows = "".join(f"images/{n},{'test' if n[-5] in '12' else 'train'}\n" for n in names)
    (tmp_path / "own.csv").write_text(f"image,split\n{rows}")
    code, *_ = onspec("evaluate", run, data, "--out", tmp_path / "e", "--split-file", tmp_path / "own.csv")
    assert code == 0
    assert set(rows_of(tmp_path / "e")) == {f"images/{k}{i}.png" for k in ("good", "bad") for i in (1, 2)}


def test_images_that_came_later_count_as_test(
    onspec: Run, run: Path, data: Path, tmp_path: Path, make_part: Part
) -> None:
    write_image(data / "images" / "later.png", make_part((1, 1, 3, 3)))
    _, _, err = onspec("evaluate", run, data, "--out", tmp_path / "e")
    assert "1 images that were not there then" in err
    rows = rows_of(tmp_path / "e")
    assert len(rows) == 8
    assert rows["images/later.png"]["truth"] == "good"


@pytest.mark.slow
def test_data_that_the_recipe_does_not_know_is_split_anew(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    (run / "split.csv").write_text("image,split\nelsewhere.png,train\n")
    code, _, err = onspec("evaluate", run, data, "--out", tmp_path / "e")
    assert code == 0
    assert "split anew" in err
    assert 2 <= len(rows_of(tmp_path / "e")) <= 6
    code, _, err = onspec("evaluate", run, data, "--out", tmp_path / "e", "--split", "all")
    assert (code, len(rows_of(tmp_path / "e"))) == (0, 12)


def test_good_parts_that_the_recipe_does_not_know_are_all_judged(
    onspec: Run, run: Path, tmp_path: Path, make_part: Part
) -> None:
    for i in range(4):
        image = make_part()
        image[0, i] = 0
        write_image(tmp_path / "new" / "good" / f"{i}.png", image)
    code, _, err = onspec("evaluate", run, tmp_path / "new", "--out", tmp_path / "e")
    assert code == 0, err
    assert "4 images (all images of the set, as the recipe knows none of them" in err
    assert len(rows_of(tmp_path / "e")) == 4


@pytest.mark.slow
def test_the_sets_own_split_is_taken_where_the_recipe_has_none(
    onspec: Run, run: Path, data: Path, tmp_path: Path
) -> None:
    """A folder of test parts only: all of them are judged."""
    (run / "split.csv").unlink()
    (data / "images").rename(tmp_path / "images")
    (data / "masks").rename(tmp_path / "masks")
    for kind in ("images", "masks"):
        (data / "test").mkdir(exist_ok=True)
        (tmp_path / kind).rename(data / "test" / kind)
    code, _, err = onspec("evaluate", run, data, "--out", tmp_path / "e")
    assert (code, len(rows_of(tmp_path / "e"))) == (0, 12)
    assert "own split" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--split", "holdout"], "Unknown split 'holdout'; choose train, val, test, all"),
        (["--split-file", "absent.csv"], "absent.csv: split file cannot be read"),
        (["--engine", "abacus"], "Unknown engine 'abacus'"),
        (["--layout", "cubist"], "Unknown layout 'cubist'"),
        (["--part-pattern", "("], "("),
        (["--escape-cost", "0"], "a cost of 0 for an escape cannot be weighed"),
        (["--defect-share", "2"], "a share of 2 of defective parts cannot be weighed"),
    ],
)
def test_bad_options(options: list[str], says: str, onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    code, out, err = onspec("evaluate", run, data, "--out", tmp_path / "e", *options)
    assert (code, out) == (2, "")
    assert says in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("onspec: ")
    assert not (tmp_path / "e" / "metrics.json").exists()


def test_a_split_without_images(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    text = (run / "split.csv").read_text()
    (run / "split.csv").write_text(text.replace(",val,", ",train,"))
    code, _, err = onspec("evaluate", run, data, "--out", tmp_path / "e", "--split", "val")
    assert code == 2
    assert "the val split has no image" in err
    assert "choose --split test, train or all" in err


def test_a_place_that_is_no_folder(onspec: Run, run: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    code, _, err = onspec("evaluate", run, data, "--out", tmp_path / "taken")
    assert code == 2
    assert "no folder can be made there" in err


def test_without_its_packages_it_says_so_at_once(
    onspec: Run, run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "scipy" else object())
    code, _, err = onspec("evaluate", run, data, "--out", tmp_path / "e")
    assert code == 2
    assert "pip install 'onspec[evaluate]'" in err


@pytest.mark.slow
def test_it_loads_no_torch(run: Path, data: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom onspec.cli.evaluate import command\n"
        f"command(Path({str(run)!r}), Path({str(data)!r}), Path({str(tmp_path / 'e')!r}))\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.real
def test_real_images_with_their_real_labels(
    onspec: Run, real_data: Path, tiny_package: Package, tmp_path: Path
) -> None:
    """The tiny network knows nothing of DAGM: the figures are poor, but every image has its row."""
    side = {"min": 512, "max": 512}
    values = tiny_package.recipe.model_dump(by_alias=True)
    values["input"] |= {"width": side, "height": side}
    values["thresholds"] |= {"image": 0.999, "pixel": 0.999}  # only the brightest pixels, or noise is all defects
    write_draft(tmp_path, Recipe.model_validate(values), tiny_package.model, [])
    code, said, _ = onspec("evaluate", tmp_path, real_data / "dagm2007", "--out", tmp_path / "e")
    assert code == 0
    assert "60 good, 26 defective (test)" in said
    assert len(rows_of(tmp_path / "e")) == 86
