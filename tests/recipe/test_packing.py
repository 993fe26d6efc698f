"""Package → file → package, and every way in which a file may be wrong."""

import hashlib
import io
import json
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onspec.domain import IntegrityError, RecipeError, Verdict
from onspec.recipe import archive
from onspec.recipe.package import Expected, Golden, Package
from onspec.recipe.reading import open_package
from onspec.recipe.writing import pack


def members(path: Path) -> dict[str, bytes]:
    """What a plain zip tool finds in the file."""
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def zipped(content: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip as any other tool would write it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in content.items():
            file.writestr(name, data)
    return buffer.getvalue()


def rewritten(path: Path, **changes: bytes | None) -> Path:
    """The file with members replaced (or removed) and honest checksums: what someone without the key can make."""
    names = {"recipe": "recipe.json", "model": "model.onnx", "expected": "golden/expected.json"}
    content = members(path)
    for key, data in changes.items():
        if data is None:
            del content[names[key]]
        else:
            content[names[key]] = data
    path.write_bytes(archive.build(content))
    return path


def test_what_is_packed_is_read(tiny_package: Package, tiny_recipe_path: Path) -> None:
    package = open_package(tiny_recipe_path)
    assert package.recipe == tiny_package.recipe
    assert (package.model, package.split_csv) == (tiny_package.model, tiny_package.split_csv)
    assert [g.data for g in package.golden] == [g.data for g in tiny_package.golden]
    assert [g.expected.verdict for g in package.golden if g.expected] == [Verdict.NG, Verdict.OK]
    assert package.digest == hashlib.sha256(tiny_recipe_path.read_bytes()).hexdigest()
    assert package.identity == f"tiny@sha256:{package.digest}"
    assert not package.signed


def test_the_same_package_is_the_same_file(tiny_recipe_path: Path, tmp_path: Path) -> None:
    pack(open_package(tiny_recipe_path), tmp_path / "again.onspec")
    assert (tmp_path / "again.onspec").read_bytes() == tiny_recipe_path.read_bytes()


def test_any_zip_tool_opens_it_and_sha256sum_agrees(tiny_recipe_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(tiny_recipe_path) as file:
        file.extractall(folder)
    assert (folder / "golden" / "good.png").is_file()
    assert json.loads((folder / "recipe.json").read_text())["name"] == "tiny"
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_byte_can_change(tiny_recipe_path: Path) -> None:
    """Every byte of the container, and every 17th of the members."""
    data = tiny_recipe_path.read_bytes()
    content = {name: data.index(part) for name, part in members(tiny_recipe_path).items()}
    inside = {at + i for name, at in content.items() for i in range(len(members(tiny_recipe_path)[name]))}
    places = [i for i in range(len(data)) if i not in inside or i % 17 == 0]
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 0x01
        with pytest.raises(RecipeError):
            archive.take_apart(bytes(changed), "tiny.onspec")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(place=st.integers(0), value=st.integers(1, 255))
def test_no_flipped_byte_loads(place: int, value: int, tiny_recipe_path: Path, tmp_path: Path) -> None:
    changed = bytearray(tiny_recipe_path.read_bytes())
    changed[place % len(changed)] ^= value
    (tmp_path / "changed.onspec").write_bytes(changed)
    with pytest.raises(RecipeError):
        open_package(tmp_path / "changed.onspec")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(keep=st.floats(0, 0.9999), tail=st.binary(max_size=3))
def test_no_cut_file_loads(keep: float, tail: bytes, tiny_recipe_path: Path, tmp_path: Path) -> None:
    data = tiny_recipe_path.read_bytes()
    (tmp_path / "cut.onspec").write_bytes(data[: int(len(data) * keep)] + tail)
    with pytest.raises(RecipeError):
        open_package(tmp_path / "cut.onspec")


@pytest.mark.parametrize("before_after", [(b"#!/bin/sh\n", b""), (b"", b"\n"), (b"", b"PK\x05\x06" + bytes(18))])
def test_nothing_is_added_around_it(before_after: tuple[bytes, bytes], tiny_recipe_path: Path) -> None:
    before, after = before_after
    tiny_recipe_path.write_bytes(before + tiny_recipe_path.read_bytes() + after)
    with pytest.raises(RecipeError):
        open_package(tiny_recipe_path)


@given(st.binary(max_size=300))
def test_noise_is_no_recipe(data: bytes) -> None:
    with pytest.raises(RecipeError):
        archive.take_apart(data, "noise")


def test_a_changed_member_is_named(tiny_recipe_path: Path) -> None:
    content = members(tiny_recipe_path)
    content["recipe.json"] = content["recipe.json"].replace(b'"image": 0.5', b'"image": 0.9')
    tiny_recipe_path.write_bytes(zipped(content))
    with pytest.raises(IntegrityError, match=r"tiny\.onspec: recipe\.json was changed after the recipe was packed"):
        open_package(tiny_recipe_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_same_members_zipped_by_another_tool_are_refused(method: int, tiny_recipe_path: Path) -> None:
    tiny_recipe_path.write_bytes(zipped(members(tiny_recipe_path), method))
    with pytest.raises(IntegrityError, match="written anew"):
        open_package(tiny_recipe_path)


@pytest.mark.parametrize(
    "name", ["../../etc/cron.d/x", "/etc/x", "golden/../../x", "golden/a/b.png", "run.sh", "C:\\x"]
)
def test_members_that_a_recipe_does_not_have(name: str, tiny_recipe_path: Path) -> None:
    tiny_recipe_path.write_bytes(zipped({**members(tiny_recipe_path), name: b"x"}))
    with pytest.raises(RecipeError, match="which a recipe does not have"):
        open_package(tiny_recipe_path)


def test_a_member_twice(tiny_recipe_path: Path) -> None:
    with zipfile.ZipFile(tiny_recipe_path, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("model.onnx", b"another")
    with pytest.raises(RecipeError, match=r"'model\.onnx' twice"):
        open_package(tiny_recipe_path)


def test_a_zip_bomb_is_not_unpacked(tiny_recipe_path: Path) -> None:
    content = {**members(tiny_recipe_path), "golden/bomb.png": bytes(50_000_000)}
    tiny_recipe_path.write_bytes(zipped(content, zipfile.ZIP_DEFLATED))
    with pytest.raises(RecipeError, match="compressed"):
        open_package(tiny_recipe_path)


def test_too_many_members(tiny_recipe_path: Path) -> None:
    more = {f"golden/{i}.png": b"" for i in range(archive.MAX_MEMBERS)}
    tiny_recipe_path.write_bytes(zipped({**members(tiny_recipe_path), **more}))
    with pytest.raises(RecipeError, match="at most 1000"):
        open_package(tiny_recipe_path)


@pytest.mark.parametrize("name", ["recipe.json", "model.onnx", "SHA256SUMS"])
def test_a_missing_member_is_named(name: str, tiny_recipe_path: Path) -> None:
    content = members(tiny_recipe_path)
    del content[name]
    tiny_recipe_path.write_bytes(zipped(content))
    with pytest.raises(RecipeError, match=f"{name} is missing"):
        open_package(tiny_recipe_path)


def test_another_zip_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "other.zip").write_bytes(zipped({"hello.txt": b"hello"}))
    with pytest.raises(RecipeError, match=r"'hello\.txt' which a recipe does not have"):
        open_package(tmp_path / "other.zip")


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such recipe file"):
        open_package(tmp_path / "absent.onspec")


def test_a_recipe_of_a_newer_onspec(tiny_recipe_path: Path) -> None:
    tree = json.loads(members(tiny_recipe_path)["recipe.json"])
    tree |= {"schema_version": 2, "something": "new"}
    with pytest.raises(RecipeError, match=r"made by a newer onspec \(recipe schema 2; this one reads 1\)"):
        open_package(rewritten(tiny_recipe_path, recipe=json.dumps(tree).encode()))


def test_a_field_of_another_onspec_is_not_passed_over(tiny_recipe_path: Path) -> None:
    tree = json.loads(members(tiny_recipe_path)["recipe.json"])
    tree["provenance"]["onspec"] = "99.1.0"
    tree["thresholds"]["second_look"] = 0.5
    says = r"recipe.json has thresholds.second_look, which onspec \S+ does not know; it was made by onspec 99.1.0"
    with pytest.raises(RecipeError, match=says):
        open_package(rewritten(tiny_recipe_path, recipe=json.dumps(tree).encode()))
    tree["provenance"] = 3
    with pytest.raises(RecipeError, match="made by onspec of an unknown version"):
        open_package(rewritten(tiny_recipe_path, recipe=json.dumps(tree).encode()))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"hello", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "does not hold a recipe"),
        (b'{"name": NaN}', "not JSON"),
        (b'{"schema_version": 1}', "name: Field required"),
    ],
)
def test_recipe_json_that_holds_no_recipe(text: bytes, says: str, tiny_recipe_path: Path) -> None:
    with pytest.raises(RecipeError, match=says):
        open_package(rewritten(tiny_recipe_path, recipe=text))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"hello", "does not hold results"),
        (b'{"good.png": {"verdict": "FINE", "score": 0.1}}', "verdict"),
        (b'{"other.png": {"verdict": "OK", "score": 0.1}}', "'other.png', which is not among"),
    ],
)
def test_expected_results_that_are_none(text: bytes, says: str, tiny_recipe_path: Path) -> None:
    with pytest.raises(RecipeError, match=says):
        open_package(rewritten(tiny_recipe_path, expected=text))


def test_a_golden_sample_without_its_result_is_not_packed(tiny_package: Package, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"defective\.png has no expected result"):
        pack(tiny_package, tmp_path / "x.onspec")
    assert not (tmp_path / "x.onspec").exists()


@pytest.mark.parametrize("name", ["../x.png", "a/b.png", "", ".hidden", "expected.json", "x" * 201, "ä.png", "a\n"])
def test_names_that_cannot_be_stored(name: str, tiny_package: Package, tmp_path: Path) -> None:
    golden = Golden(name, b"x", Expected(verdict=Verdict.OK, score=0.0))
    with pytest.raises(RecipeError, match="cannot be stored"):
        pack(replace(tiny_package, golden=(golden,)), tmp_path / "x.onspec")
