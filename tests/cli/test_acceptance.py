"""`onspec acceptance`, and what `onspec verify` and `onspec release` make of its protocol."""

import csv
import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.cli.browser import BROWSERS
from onspec.cli.protocol import COLUMNS, check_protocol
from onspec.domain import RecipeError, Task
from onspec.imaging.writing import write_image
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package, require_released
from onspec.recipe.signature import make_keys
from onspec.recipe.writing import pack
from onspec.runtime.golden import record_golden
from onspec.runtime.inspector import Inspector

Run = Callable[..., tuple[int, str, str]]
Part = Callable[..., NDArray[np.uint8]]
SPOT, FAINT = (30, 20, 10, 6), (30, 20, 1, 1)
LIMITS = ("--max-escape-rate", "0.3", "--max-false-reject-rate", "0.3", "--confidence", "0.8")
DOCS = Path(__file__).parents[2] / "docs" / "acceptance.md"


def write_parts(folder: Path, make_part: Part, good: int = 5, bad: int = 5) -> Path:
    """Parts in the layout of masks; no two images are the same file."""
    for i in range(max(good, bad)):
        for kind, there, spots in (("good", good, ()), ("bad", bad, (SPOT,))):
            if i < there:
                image = make_part(*spots)
                image[0, i] = 0
                write_image(folder / "images" / f"{kind}{i}.png", image)
        if i < bad:
            write_image(folder / "masks" / f"bad{i}.png", np.where(make_part(SPOT) > 200, 255, 0).astype(np.uint8))
    return folder


@pytest.fixture
def data(tmp_path: Path, make_part: Part) -> Path:
    return write_parts(tmp_path / "parts", make_part)


def accept(onspec: Run, recipe: Path, data: Path, out: Path, *more: object) -> tuple[int, str, str]:
    return onspec("acceptance", recipe, data, "--out", out, "--split", "all", *LIMITS, *more)


def test_accepted(onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path) -> None:
    out, package = tmp_path / "a", open_package(tiny_recipe_path)
    names = ("--by", "A. Meier", "--supplier", "<b>Vision</b> GmbH", "--user", "Tile AG", "--subject", "tiles")
    code, said, err = accept(onspec, tiny_recipe_path, data, out, *names, "--repeats", 3)
    assert code == 0, err
    assert "accepted: 0 of 5 defective parts escaped (at most 28 %)" in said
    tree = json.loads((out / "acceptance.json").read_text())
    assert tree["recipe"]["identity"] == package.identity
    assert tree["recipe"]["content"] == package.content
    assert tree["judgement"]["outcome"] == "accepted"
    assert tree["judgement"]["repeatability"] == {
        "repeats": 3, "images": 10, "same_verdicts": 10, "same_scores": 10, "largest_spread": 0.0,
    }  # fmt: skip
    assert tree["conditions"]["orders"] == ["by name", "backwards", "mixed (seed 2)"]
    assert {"host", "system", "processor", "cores"} == set(tree["conditions"]["machine"])
    assert {"python", "numpy", "onnxruntime"} <= set(tree["conditions"]["versions"])
    assert tree["data"]["fingerprint"].startswith("sha256:")
    digests = {p["images"][0]["image"]: p["images"][0]["sha256"] for p in tree["parts"]}
    assert digests["images/bad0.png"] == hashlib.sha256((data / "images" / "bad0.png").read_bytes()).hexdigest()
    with (out / "acceptance.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert (len(rows), tuple(rows[0])) == (30, COLUMNS)
    page = (out / "acceptance.html").read_text()
    assert "&lt;b&gt;Vision&lt;/b&gt; GmbH" in page
    assert package.identity in page
    assert "every part was judged rightly" in page
    assert "<script" not in page
    assert "http" not in re.sub(r"data:[^\"]+", "", page)


def test_too_few_parts_are_refused_before_anything_is_judged(
    onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path
) -> None:
    code, said, err = accept(onspec, tiny_recipe_path, data, tmp_path / "a", "--confidence", "0.95")
    assert (code, said) == (2, "")
    assert "5 defective parts support at best" in err
    assert "it takes 9 defective parts without a miss, 4 more" in err
    assert not (tmp_path / "a").exists()


def test_not_accepted_shows_every_misjudged_part(
    onspec: Run, tiny_recipe_path: Path, data: Path, make_part: Part, tmp_path: Path
) -> None:
    for i in range(3):
        image = make_part()
        image[1, i] = 0
        write_image(data / "images" / f"bad{i}.png", image)
    shown = make_part(SPOT)
    shown[2, 2] = 0
    write_image(data / "images" / "good0.png", shown)
    code, said, _ = accept(onspec, tiny_recipe_path, data, tmp_path / "a", "--pictures", 3)
    assert code == 1
    assert "not accepted: 3 of 5 defective parts escaped" in said
    page = (tmp_path / "a" / "acceptance.html").read_text()
    captions = re.findall(r"<figcaption><b>([^<]+)</b>([^:<]+)", page)
    assert captions == [
        ("images/bad0", "escape"),
        ("images/bad1", "escape"),
        ("images/bad2", "escape"),
        ("images/good0", "false reject"),
    ]
    assert page.count("data:image/jpeg;base64") == 3
    assert "1 more are listed without a picture" in page


def test_borderline_parts_by_folder_and_by_table(
    onspec: Run, tiny_recipe_path: Path, data: Path, make_part: Part, tmp_path: Path
) -> None:
    image = make_part(FAINT)
    write_image(data / "images" / "borderline" / "edge.png", image)
    table = tmp_path / "borderline.csv"
    table.write_text("image;borderline;why\nimages/good4.png;yes;a shadow\nbad0.png;no;\n")
    write_parts(data, make_part, good=6, bad=5)
    code, _, err = accept(onspec, tiny_recipe_path, data, tmp_path / "a", "--borderline", table)
    assert code == 0, err
    tree = json.loads((tmp_path / "a" / "acceptance.json").read_text())
    counted = [tree["data"][kind] for kind in ("good", "defective", "borderline")]
    assert counted == [5, 5, 2]
    references = {p["images"][0]["image"]: p["reference"] for p in tree["parts"]}
    assert {name for name, r in references.items() if r == "borderline"} == {
        "images/borderline/edge.png",
        "images/good4.png",
    }
    assert "Borderline parts" in (tmp_path / "a" / "acceptance.html").read_text()


def test_a_table_of_borderline_parts_may_have_paths_of_windows_and_no_name_of_two_images(
    onspec: Run, tiny_recipe_path: Path, data: Path, make_part: Part, tmp_path: Path
) -> None:
    write_parts(data, make_part, good=6, bad=6)
    table = tmp_path / "b.csv"
    table.write_text("image,borderline\nimages\\good0.png,yes\n./images/bad0.png,yes\n")
    assert accept(onspec, tiny_recipe_path, data, tmp_path / "a", "--borderline", table)[0] == 0
    tree = json.loads((tmp_path / "a" / "acceptance.json").read_text())
    assert [tree["data"][kind] for kind in ("good", "defective", "borderline")] == [5, 5, 2]
    image = make_part()
    image[3, 3] = 0
    write_image(data / "images" / "lot2" / "good0.png", image)
    table.write_text("image,borderline\ngood0.png,yes\n")
    code, _, err = accept(onspec, tiny_recipe_path, data, tmp_path / "b", "--borderline", table)
    assert (code, "b.csv:2: 'good0.png' names no image of the set, or several" in err) == (2, True)


@pytest.mark.parametrize("condition", ["", "  "])
def test_a_condition_without_words_is_refused(
    condition: str, onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path
) -> None:
    code, _, err = accept(onspec, tiny_recipe_path, data, tmp_path / "a", "--condition", condition)
    assert (code, "--condition is empty; say on what condition it is accepted" in err) == (2, True)
    assert not (tmp_path / "a").exists()


def test_the_protocol_has_the_command_with_all_that_decides(
    onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path
) -> None:
    table = tmp_path / "b.csv"
    table.write_text("image,borderline\n")
    given = (
        "--borderline",
        table,
        "--engine",
        "onnxruntime",
        "--condition",
        "two weeks on probation",
        "--layout",
        "masks",
    )
    accept(onspec, tiny_recipe_path, data, tmp_path / "a", *given)
    command = json.loads((tmp_path / "a" / "acceptance.json").read_text())["conditions"]["command"]
    words = shlex.split(command)
    for option, value in zip(given[::2], given[1::2], strict=True):
        assert words[words.index(str(option)) + 1] == str(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image\na.png\n", "needs the columns image and borderline; got image"),
        ("image,borderline\na.png,perhaps\n", "2: borderline is 'perhaps'; allowed: yes, no"),
        (
            "image,borderline\nbad0.png,no\nother.png,yes\n",
            "3: 'other.png' names no image of the set, or several; give its path in the set",
        ),
        (None, "cannot be read as text"),
    ],
)
def test_tables_that_cannot_be_used(
    text: str | None, says: str, onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "b.csv").write_text(text)
    code, _, err = accept(onspec, tiny_recipe_path, data, tmp_path / "a", "--borderline", tmp_path / "b.csv")
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_an_image_that_cannot_be_judged_is_not_accepted(
    onspec: Run, tiny_recipe_path: Path, data: Path, make_part: Part, tmp_path: Path
) -> None:
    write_parts(data, make_part, good=6, bad=6)
    broken = data / "images" / "good0.png"
    broken.write_bytes(broken.read_bytes()[:-30])
    code, said, _ = accept(onspec, tiny_recipe_path, data, tmp_path / "a")
    assert code == 1
    assert re.search(r"every part judged .* 11 of 12 parts +no", said)
    assert "not judged: good, judged ERROR" in (tmp_path / "a" / "acceptance.html").read_text()


def test_what_the_network_learned_from_proves_nothing(
    onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path
) -> None:
    rows = "".join(f"images/{k}{i}.png,{'val' if i == 0 else 'test'}\n" for k in ("good", "bad") for i in range(5))
    package = replace(open_package(tiny_recipe_path), split_csv=f"image,split\n{rows}".encode())
    pack(package, tiny_recipe_path)
    code, _, err = accept(onspec, tiny_recipe_path, data, tmp_path / "a")
    assert code == 2
    assert "--split all has 2 images that the network was trained or chosen on" in err
    (tmp_path / "s.csv").write_text("image,split\n" + rows.replace("val", "test"))
    code, said, _ = accept(onspec, tiny_recipe_path, data, tmp_path / "a", "--split-file", tmp_path / "s.csv")
    assert code == 0
    assert "2 of the images are called as images that the recipe was trained or chosen on" in said


def test_what_is_refused_at_once(onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    assert "a protocol is never overwritten" in accept(onspec, tiny_recipe_path, data, tmp_path / "full")[2]
    assert "the draft of a run can still change" in accept(onspec, tmp_path, data, tmp_path / "a")[2]
    assert not (tmp_path / "a").exists()


def test_without_a_browser_there_is_no_pdf_and_that_is_said(
    onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = accept(onspec, tiny_recipe_path, data, tmp_path / "a", "--pdf")
    assert code == 2
    assert "a PDF is printed by a browser, and none was found" in err
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_a_pdf_by_a_real_browser(onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path) -> None:
    if not any(shutil.which(name) for name in BROWSERS):
        pytest.skip("no Chromium is installed; install the Debian package chromium")
    code, _, err = accept(onspec, tiny_recipe_path, data, tmp_path / "a", "--pdf", "--repeats", 1)
    assert code == 0, err
    pdf = (tmp_path / "a" / "acceptance.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert "  acceptance.pdf\n" in (tmp_path / "a" / "SHA256SUMS").read_text()


def test_a_signed_protocol_is_proved_and_a_changed_one_is_not(
    onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("cryptography", reason="the extra 'sign' is not installed")
    key, public, other = (tmp_path / name for name in ("k.pem", "k.pub.pem", "o.pub.pem"))
    make_keys(key, public)
    make_keys(tmp_path / "o.pem", other)
    out = tmp_path / "a"
    accept(onspec, tiny_recipe_path, data, out, "--sign", key, "--by", "A. Meier")
    code, said, _ = onspec("verify", out, "--public-key", public)
    assert (code, "signature  valid" in said, "result     accepted" in said) == (0, True, True)
    assert "not by the private half" in onspec("verify", out, "--public-key", other)[2]
    assert json.loads(onspec("verify", out, "--json")[1])["signature"] == "present, not checked (give --public-key)"
    for name in ("acceptance.json", "acceptance.html", "acceptance.csv"):
        whole = (out / name).read_bytes()
        (out / name).write_bytes(whole.replace(b"accepted", b"Accepted", 1) + b" ")
        code, _, err = onspec("verify", out)
        assert (code, f"{name}: was changed after the test" in err) == (2, True)
        (out / name).write_bytes(whole)
    sums = (out / "SHA256SUMS").read_text().splitlines(keepends=True)
    (out / "SHA256SUMS").write_text("".join(sums[1:]))
    assert onspec("verify", out, "--public-key", public)[0] == 2
    (out / "SHA256SUMS").write_text("".join(sums))
    assert onspec("verify", out, "--public-key", public)[0] == 0
    (out / "acceptance.csv").unlink()
    with pytest.raises(RecipeError):
        check_protocol(out, None)


def test_released_on_the_evidence_of_this_very_recipe(
    onspec: Run, tiny_recipe_path: Path, data: Path, tmp_path: Path
) -> None:
    evidence, tested, out = tmp_path / "a", tmp_path / "tested.onspec", tmp_path / "released.onspec"
    accept(onspec, tiny_recipe_path, data, evidence, "--by", "A. Meier")
    code, _, err = onspec(
        "release", tiny_recipe_path, "--to", "released", "--by", "B", "--evidence", evidence, "--out", out
    )
    assert code == 2
    assert "is a draft, which cannot become released; allowed: tested" in err
    by = ("--by", "B. Chef", "--evidence", evidence)
    code, _, err = onspec("release", tiny_recipe_path, "--to", "tested", *by, "--out", tested)
    assert code == 0, err
    assert "nothing proves who said so" in err
    code, _, err = onspec("release", tested, "--to", "released", *by, "--comment", "shift 2", "--out", out)
    assert code == 0, err
    package = open_package(out)
    require_released(package)
    assert package.approval is not None
    digest = hashlib.sha256((evidence / "acceptance.json").read_bytes()).hexdigest()
    assert {step.evidence.digest for step in package.approval.steps} == {f"sha256:{digest}"}
    said = onspec("verify", out)[1]
    assert "state      released" in said
    assert re.search(r"  released: .*, B\. Chef; shift 2\n     accepted .*: 0 of 5 defective parts escaped", said)
    assert onspec("inspect", out, data / "images")[0] == 0
    code, said, _ = onspec("diff", tiny_recipe_path, out)
    assert (code, "state: draft → released" in said, "none can change a verdict" in said) == (1, True, True)


def test_evidence_that_is_none(
    onspec: Run, tiny_recipe_path: Path, data: Path, make_part: Part, tmp_path: Path
) -> None:
    other = tmp_path / "other.onspec"
    onspec("pack", tiny_recipe_path, "--out", other, "--name", "other")
    accept(onspec, other, data, tmp_path / "of-another")
    for i in range(5):
        image = make_part()
        image[1, i] = 0
        write_image(data / "images" / f"bad{i}.png", image)
    accept(onspec, tiny_recipe_path, data, tmp_path / "failed")
    for folder, says in (
        ("of-another", "is about other version 2"),
        ("failed", "ended as not accepted, so it is no evidence"),
        ("absent", "a protocol is the whole folder"),
    ):
        line = ("--to", "tested", "--by", "B", "--evidence", tmp_path / folder, "--out", tmp_path / "x.onspec")
        code, _, err = onspec("release", tiny_recipe_path, *line)
        assert code == 2
        assert says in err
        assert err.count("\n") == 1
    assert not (tmp_path / "x.onspec").exists()


def test_several_classes(
    onspec: Run, make_toned: Callable[..., Package], make_toned_part: Part, tmp_path: Path
) -> None:
    package, recipe = make_toned(Task.CLASSIFY), tmp_path / "toned.onspec"
    with closing(Inspector(package, threads=1)) as inspector:
        pack(replace(package, golden=record_golden(inspector, package.golden)), recipe)
    spots = {"good": (), "bright": ((40, 24, 24, 16, 255),), "dark": ((40, 24, 24, 16, 0),)}
    for i in range(5):
        for cls in spots:
            image = make_toned_part(*spots["bright" if (cls, i) == ("dark", 0) else cls])
            image[len(cls), i] = 130  # no two images are the same file
            write_image(tmp_path / "data" / cls / f"{cls}{i}.png", image)
    out = tmp_path / "a"
    code, _, err = accept(onspec, recipe, tmp_path / "data", out)
    assert code == 0, err
    tree = json.loads((out / "acceptance.json").read_text())
    assert tree["judgement"]["told"] == {
        "good": {"good": 5}, "bright": {"bright": 5}, "dark": {"bright": 1, "dark": 4},
    }  # fmt: skip
    rows = re.findall(
        r"<tr><td>(good|bright|dark)</td>((?:<td class=.n[^<]*</td>)+)</tr>", (out / "acceptance.html").read_text()
    )
    assert [(name, [int(n) for n in re.findall(r">(\d+)<", cells)]) for name, cells in rows] == [
        ("good", [5, 0, 0]),
        ("bright", [0, 5, 0]),
        ("dark", [0, 1, 4]),
    ]


def test_the_commands_of_its_page_run(
    onspec: Run, tiny_recipe_path: Path, make_part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cryptography", reason="the extra 'sign' is not installed")
    monkeypatch.chdir(tmp_path)
    tiny_recipe_path.rename("tile.onspec")
    write_parts(Path("parts"), make_part, good=60, bad=60)
    make_keys(Path("plant.pem"), Path("plant.pub.pem"))
    (block,) = re.findall(r"```sh\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines():
        code, _, err = onspec(*shlex.split(line)[1:])
        assert code == 0, (line, err)
    require_released(open_package(Path("tile-released.onspec"), public_key=Path("plant.pub.pem")))


def test_its_page_names_every_column_and_limit() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert [column for column in COLUMNS if f"`{column}`" not in text] == []
