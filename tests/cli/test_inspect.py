"""`onspec inspect` as users and their scripts call it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from onspec.domain import Task
from onspec.imaging.reading import read_image
from onspec.imaging.writing import write_image
from onspec.recipe.package import Package
from onspec.recipe.writing import pack
from onspec.runtime.golden import record_golden
from onspec.runtime.inspector import Inspector

Run = Callable[..., tuple[int, str, str]]
MakePart = Callable[..., NDArray[np.uint8]]
COMMAND = [sys.executable, "-m", "onspec.cli", "inspect"]
SPOT = (30, 20, 10, 6)


@pytest.fixture
def parts(tmp_path: Path, make_part: MakePart) -> Path:
    """Two good parts and a defective one, in subfolders, two of one name."""
    folder = tmp_path / "parts"
    write_image(folder / "a" / "1.png", make_part())
    write_image(folder / "a" / "2.png", make_part(SPOT))
    write_image(folder / "b" / "1.png", make_part())
    return folder


def lines(text: str) -> list[dict[str, Any]]:
    """The JSON lines of an output."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_json_line_an_image_in_order(onspec: Run, tiny_recipe_path: Path, parts: Path) -> None:
    code, out, err = onspec("inspect", tiny_recipe_path, parts)
    got = lines(out)
    assert code == 0
    assert [(line["image"], line["verdict"]) for line in got] == [
        (f"{parts}/a/1.png", "OK"),
        (f"{parts}/a/2.png", "NG"),
        (f"{parts}/b/1.png", "OK"),
    ]
    assert got[1]["reasons"] == ["defect: score 1.00 >= 0.50"]
    assert got[1]["defects"][0]["bbox"] == list(SPOT)
    assert err == "3 images inspected: 1 NG, 2 OK\n"


def test_fail_on_ng(onspec: Run, tiny_recipe_path: Path, parts: Path) -> None:
    assert onspec("inspect", tiny_recipe_path, parts, "--fail-on-ng")[0] == 1
    assert onspec("inspect", tiny_recipe_path, parts / "b", "--fail-on-ng")[0] == 0


def test_one_bad_image_is_error_and_the_rest_are_judged(onspec: Run, tiny_recipe_path: Path, parts: Path) -> None:
    (parts / "a" / "2.png").write_bytes(b"hello")
    write_image(parts / "a" / "3.png", np.zeros((500, 500), np.uint8))
    code, out, err = onspec("inspect", tiny_recipe_path, parts, parts / "absent.png")
    got = lines(out)
    assert code == 1
    assert [line["verdict"] for line in got] == ["OK", "ERROR", "ERROR", "OK", "ERROR"]
    assert "not an image that can be decoded" in got[1]["error"]
    assert "500×500 px; this recipe takes 64…128×48…96 px" in got[2]["error"]
    assert "no such image file" in got[4]["error"]
    assert got[4]["score"] is None
    assert err == "5 images inspected: 3 ERROR, 2 OK\n"


def test_jsonl_takes_the_lines_from_stdout(onspec: Run, tiny_recipe_path: Path, parts: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "verdicts.jsonl"
    code, out, _ = onspec("inspect", tiny_recipe_path, parts, "--jsonl", target)
    assert (code, out) == (0, "")
    assert [line["verdict"] for line in lines(target.read_text())] == ["OK", "NG", "OK"]


def test_maps_are_16_bit_and_keep_subfolders(onspec: Run, tiny_recipe_path: Path, parts: Path, tmp_path: Path) -> None:
    (parts / "b" / "broken.png").write_bytes(b"hello")
    onspec("inspect", tiny_recipe_path, parts, "--maps", tmp_path / "maps", "--overlays", tmp_path / "overlays")
    for folder in ("maps", "overlays"):
        made = sorted(p.relative_to(tmp_path / folder).as_posix() for p in (tmp_path / folder).rglob("*.*"))
        assert made == ["a/1.png", "a/2.png", "b/1.png"]
    scores = read_image(tmp_path / "maps" / "a" / "2.png")
    assert (scores.dtype, scores.shape) == (np.dtype(np.uint16), (64, 96))
    assert scores[22, 35] > 65000
    assert scores[0, 0] < 100
    overlay = read_image(tmp_path / "overlays" / "a" / "2.png")
    assert tuple(overlay[20, 30]) == (255, 70, 40)
    assert tuple(overlay[5, 5]) == (20, 20, 20)


def test_files_of_one_name_do_not_overwrite_each_other(
    onspec: Run, tiny_recipe_path: Path, parts: Path, tmp_path: Path
) -> None:
    onspec("inspect", tiny_recipe_path, parts / "a/1.png", parts / "b/1.png", "--maps", tmp_path / "maps")
    assert sorted(p.relative_to(tmp_path / "maps").as_posix() for p in (tmp_path / "maps").rglob("*.*")) == [
        "1.png",
        "b/1.png",
    ]


def packed(package: Package, path: Path) -> Path:
    """The draft as a recipe file."""
    with closing(Inspector(package, threads=1)) as inspector:
        package = replace(package, golden=record_golden(inspector, package.golden))
    pack(package, path)
    return path


@pytest.mark.parametrize("task", Task)
def test_each_task_from_the_command_line(
    task: Task, onspec: Run, make_toned: Callable[..., Package], make_toned_part: MakePart, tmp_path: Path
) -> None:
    recipe = packed(make_toned(task), tmp_path / "toned.onspec")
    spot = (40, 24, 4, 4, 255) if task is Task.DETECT else (40, 24, 24, 16, 255)
    write_image(tmp_path / "parts" / "bad.png", make_toned_part(spot))
    write_image(tmp_path / "parts" / "good.png", make_toned_part())
    folders = ("--maps", tmp_path / "maps", "--overlays", tmp_path / "overlays")
    code, out, _ = onspec("inspect", recipe, tmp_path / "parts", *folders)
    bad, good = lines(out)
    assert (code, bad["verdict"], good["verdict"]) == (0, "NG", "OK")
    assert [d["bbox"] for d in bad["defects"]] == [list(spot[:4])]
    assert bad["class"] == ("bright" if task is Task.CLASSIFY else None)
    names = [f"{stem}.{cls}.png" for stem in ("bad", "good") for cls in ("bright", "dark")]
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == names
    scores = read_image(tmp_path / "maps" / "bad.bright.png")
    assert (scores.dtype, scores.shape) == (np.dtype(np.uint16), (64, 96))
    assert scores[26, 42] > 40_000
    picture = read_image(tmp_path / "overlays" / "bad.png")
    x, y, w, h, _ = spot
    drawn = (picture == (255, 70, 40)).all(axis=2)
    assert drawn[y, x + w // 2]
    assert drawn[y + h - 1, x + w // 2]
    assert drawn[y + h // 2, x]
    assert not drawn[: y - 1].any()
    assert not (read_image(tmp_path / "overlays" / "good.png") == (255, 70, 40)).all(axis=-1).any()


def test_a_map_for_each_class(
    onspec: Run, tiny_package: Package, make_model: Callable[..., bytes], parts: Path, tmp_path: Path
) -> None:
    recipe = tiny_package.recipe.model_copy(update={"classes": ("pore", "a/b")})
    package = replace(tiny_package, recipe=recipe, model=make_model(classes=2))
    packed(package, tmp_path / "two.onspec")
    onspec("inspect", tmp_path / "two.onspec", parts / "a/2.png", "--maps", tmp_path / "maps")
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == ["2.a_b.png", "2.pore.png"]


def test_globs_are_understood(onspec: Run, tiny_recipe_path: Path, parts: Path) -> None:
    code, out, _ = onspec("inspect", tiny_recipe_path, f"{parts}/*/1.png")
    assert code == 0
    assert [line["image"] for line in lines(out)] == [f"{parts}/a/1.png", f"{parts}/b/1.png"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["absent.onspec", "{parts}"], "no such recipe file"),
        (["{parts}", "{parts}"], "not the folder of a finished run"),
        (["{parts}/a/1.png", "{parts}"], "not a recipe file"),
        (["{recipe}", "{parts}/absent"], "no such file or folder"),
        (["{recipe}", "{parts}/*.tif"], "no images here"),
        (["{recipe}", "{parts}", "--engine", "tensort"], "Unknown engine 'tensort'; choose auto, onnxruntime"),
        (["{recipe}", "{parts}", "--jsonl", "{parts}"], "cannot be written"),
        (["{recipe}", "{parts}", "--maps", "{recipe}/x"], "cannot be written"),
        (["{recipe}", "{parts}", "--workers", "0"], "--workers"),
        (["{recipe}"], "Missing argument"),
    ],
)
def test_bad_input_is_exit_2_and_a_sentence(
    arguments: list[str], says: str, onspec: Run, tiny_recipe_path: Path, parts: Path
) -> None:
    code, _, err = onspec("inspect", *(a.format(parts=parts, recipe=tiny_recipe_path) for a in arguments))
    assert code == 2
    assert says in err
    assert "Traceback" not in err


def test_a_changed_recipe_judges_nothing(onspec: Run, tiny_recipe_path: Path, parts: Path) -> None:
    data = bytearray(tiny_recipe_path.read_bytes())
    data[len(data) // 2] ^= 1
    tiny_recipe_path.write_bytes(data)
    code, out, err = onspec("inspect", tiny_recipe_path, parts)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_names_over_stdin_are_answered_one_by_one(tiny_recipe_path: Path, parts: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, tiny_recipe_path, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for name, verdict in (("a/2.png", "NG"), ("b/1.png", "OK")):
            process.stdin.write(f"{parts}/{name}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["verdict"] == verdict  # before the next name is known
        process.stdin.close()
        assert process.wait(20) == 0


def test_ctrl_c_keeps_finished_lines(tiny_recipe_path: Path, parts: Path, tmp_path: Path) -> None:
    target = tmp_path / "verdicts.jsonl"
    command = [*COMMAND, str(tiny_recipe_path), f"{parts}/a/1.png", "-", "--jsonl", str(target)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(200):
            if target.exists() and target.read_text().endswith("\n"):
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr is not None
        said = process.stderr.read()
    assert [line["verdict"] for line in lines(target.read_text())] == ["OK"]
    assert said.splitlines() == ["1 image inspected: 1 OK", "onspec: stopped; what was finished is kept"]


def test_a_reader_that_stops_reading_is_no_traceback(tiny_recipe_path: Path, parts: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, str(tiny_recipe_path), str(parts)], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.returncode == 2
    assert "cannot write to stdout (Broken pipe)" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_written_but_what_was_asked_for(tiny_recipe_path: Path, parts: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    variables = {name: str(home) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    done = subprocess.run(
        [*COMMAND, str(tiny_recipe_path), str(parts)],
        cwd=home, env={**os.environ, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3), done.stderr
    assert list(home.rglob("*")) == []


def test_a_folder_is_judged_side_by_side_in_order_with_its_pictures(
    onspec: Run, tiny_recipe_path: Path, make_part: MakePart, tmp_path: Path
) -> None:
    for n in range(20):
        write_image(tmp_path / "parts" / f"{n:02d}.png", make_part(SPOT) if n % 3 == 0 else make_part())
    (tmp_path / "parts" / "07.png").write_bytes(b"hello")
    folders = ("--maps", tmp_path / "maps", "--overlays", tmp_path / "overlays")
    code, out, _ = onspec("inspect", tiny_recipe_path, tmp_path / "parts", *folders)
    got = lines(out)
    assert code == 1
    assert [Path(line["image"]).stem for line in got] == [f"{n:02d}" for n in range(20)]
    assert [line["verdict"] for line in got] == ["ERROR" if n == 7 else "NG" if n % 3 == 0 else "OK" for n in range(20)]
    for folder in ("maps", "overlays"):
        made = sorted(p.name for p in (tmp_path / folder).iterdir())
        assert made == [f"{n:02d}.png" for n in range(20) if n != 7]
    scores = {n: read_image(tmp_path / "maps" / f"{n:02d}.png")[22, 35] for n in (0, 1)}
    assert scores[0] > 65000
    assert scores[1] < 100


def test_a_picture_that_cannot_be_written_stops_with_a_sentence(
    onspec: Run, tiny_recipe_path: Path, parts: Path, tmp_path: Path
) -> None:
    (tmp_path / "overlays" / "a" / "2.png").mkdir(parents=True)
    code, out, err = onspec("inspect", tiny_recipe_path, parts, "--overlays", tmp_path / "overlays")
    assert code == 2
    assert "2.png: cannot be written" in err
    assert "Traceback" not in err
    assert lines(out)[1]["verdict"] == "NG"


def test_ctrl_c_keeps_the_pictures_of_the_lines_that_were_written(
    tiny_recipe_path: Path, parts: Path, tmp_path: Path
) -> None:
    target = tmp_path / "verdicts.jsonl"
    options = ["--jsonl", str(target), "--maps", str(tmp_path / "maps")]
    command = [*COMMAND, str(tiny_recipe_path), str(parts), "-", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(200):
            if target.exists() and target.read_text().count("\n") == 3:
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert sorted(p.relative_to(tmp_path / "maps").as_posix() for p in (tmp_path / "maps").rglob("*.*")) == [
        "a/1.png", "a/2.png", "b/1.png",
    ]  # fmt: skip
