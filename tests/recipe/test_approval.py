"""Draft → tested → released: what was tested stays, and nothing else counts as approved."""

import hashlib
import json
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from onspec.domain import IntegrityError, RecipeError, UsageError
from onspec.recipe import archive
from onspec.recipe.approval import Approval, Evidence, State, Step
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package, require_released, with_digest
from onspec.recipe.signature import make_keys
from onspec.recipe.writing import approve, pack

ANY = f"sha256:{'0' * 64}"


def step(to: str = "tested", result: str = "accepted") -> Step:
    found = Evidence(
        digest=ANY, result=result, at="2026-01-02T03:04:05+00:00", by="A", engine="onnxruntime", summary="0"
    )
    return Step.model_validate({"to": to, "by": "B. Chef", "at": "2026-01-03T00:00:00+00:00", "evidence": found})


@pytest.fixture
def released(tiny_recipe_path: Path, tmp_path: Path) -> Path:
    """tiny.onspec, released."""
    approve(tiny_recipe_path, step(), tmp_path / "tested.onspec")
    approve(tmp_path / "tested.onspec", step("released"), tmp_path / "released.onspec")
    return tmp_path / "released.onspec"


def test_the_state_changes_and_what_was_tested_does_not(tiny_recipe_path: Path, released: Path) -> None:
    before, after = open_package(tiny_recipe_path), open_package(released)
    assert (before.state, after.state) == (State.DRAFT, State.RELEASED)
    assert after.content == before.content
    assert after.digest != before.digest
    assert (after.recipe, after.model, after.golden) == (before.recipe, before.model, before.golden)
    assert after.approval is not None
    assert [s.to for s in after.approval.steps] == [State.TESTED, State.RELEASED]


def test_any_shell_can_reckon_the_content_digest(released: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(released) as file:
        file.extractall(tmp_path / "unpacked")
    line = "sha256sum --check --quiet SHA256SUMS && grep -v '  approval.json$' SHA256SUMS | sha256sum"
    done = subprocess.run(["sh", "-c", line], cwd=tmp_path / "unpacked", capture_output=True, check=True, text=True)
    assert f"sha256:{done.stdout.split()[0]}" == open_package(released).content


def test_production_takes_released_recipes_only(tiny_recipe_path: Path, released: Path, tmp_path: Path) -> None:
    require_released(open_package(released))
    for path, state in ((tiny_recipe_path, "draft"), (tmp_path / "tested.onspec", "tested")):
        with pytest.raises(RecipeError, match=f"its state is {state}; production takes released recipes only"):
            require_released(open_package(path))


def test_an_approval_does_not_fit_another_recipe(released: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(released) as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["model.onnx"] += b"\0"
    (tmp_path / "forged.onspec").write_bytes(archive.build(members))
    with pytest.raises(IntegrityError, match="the approval is about sha256:"):
        open_package(tmp_path / "forged.onspec")


def test_a_changed_package_loses_its_approval(released: Path, tmp_path: Path) -> None:
    package = open_package(released)
    pack(package, tmp_path / "again.onspec")
    assert (tmp_path / "again.onspec").read_bytes() == released.read_bytes()
    changed = replace(package, recipe=package.recipe.model_copy(update={"name": "other"}))
    assert with_digest(changed).state is State.DRAFT
    pack(changed, tmp_path / "changed.onspec")
    assert open_package(tmp_path / "changed.onspec").state is State.DRAFT


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(place=st.integers(0), value=st.integers(1, 255))
def test_no_flipped_byte_of_an_approved_recipe_loads(place: int, value: int, released: Path) -> None:
    changed = bytearray(released.read_bytes())
    changed[place % len(changed)] ^= value
    (released.parent / "flipped.onspec").write_bytes(changed)
    with pytest.raises(RecipeError):
        open_package(released.parent / "flipped.onspec")


def test_a_draft_is_not_released_at_once(tiny_recipe_path: Path, released: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a draft, which cannot become released; allowed: tested"):
        approve(tiny_recipe_path, step("released"), tmp_path / "x.onspec")
    with pytest.raises(UsageError, match="released, and nothing follows on that"):
        approve(released, step(), tmp_path / "x.onspec")
    assert not (tmp_path / "x.onspec").exists()


def test_only_a_passed_test_releases() -> None:
    assert step("tested", "accepted with conditions").to is State.TESTED
    with pytest.raises(ValidationError, match="only an acceptance test with the result 'accepted'"):
        step("released", "accepted with conditions")
    with pytest.raises(ValidationError, match="from draft to released is not allowed"):
        Approval(content=ANY, steps=(step("released"),))


def test_a_forged_order_of_steps_does_not_load(released: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(released) as file:
        members = {name: file.read(name) for name in file.namelist()}
    tree = json.loads(members["approval.json"])
    tree["steps"] = tree["steps"][1:]
    (tmp_path / "x.onspec").write_bytes(archive.build({**members, "approval.json": json.dumps(tree).encode()}))
    with pytest.raises(RecipeError, match=r"approval\.json does not hold an approval.*from draft to released"):
        open_package(tmp_path / "x.onspec")


def test_a_signature_covers_the_state(tiny_recipe_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="the extra 'sign' is not installed")
    key, public = tmp_path / "k.pem", tmp_path / "k.pub.pem"
    make_keys(key, public)
    pack(open_package(tiny_recipe_path), tiny_recipe_path, signing_key=key)
    with pytest.raises(UsageError, match="its signature does not cover a new state"):
        approve(tiny_recipe_path, step(), tmp_path / "x.onspec")
    approve(tiny_recipe_path, step(), tmp_path / "x.onspec", signing_key=key)
    assert open_package(tmp_path / "x.onspec", public_key=public).state is State.TESTED
    with zipfile.ZipFile(tmp_path / "x.onspec") as file:
        members = {name: file.read(name) for name in file.namelist()}
    raised = Approval.model_validate_json(members["approval.json"]).raised(step("released"))
    forged = archive.build({**members, "approval.json": raised.to_json().encode()})
    (tmp_path / "x.onspec").write_bytes(forged)
    assert open_package(tmp_path / "x.onspec").state is State.RELEASED  # without a key, anybody can write so
    with pytest.raises(IntegrityError, match="not by the private half"):
        open_package(tmp_path / "x.onspec", public_key=public)


def test_a_run_cannot_be_approved(tiny_package: Package, tmp_path: Path) -> None:
    from onspec.recipe.draft import write_draft

    write_draft(tmp_path / "run", tiny_package.recipe, tiny_package.model, [])
    with pytest.raises(RecipeError, match="the draft of a run can still change"):
        approve(tmp_path / "run", step(), tmp_path / "x.onspec")
    assert open_package(tmp_path / "run").state is State.DRAFT


def test_the_content_of_an_unapproved_file_is_that_of_all_of_it(tiny_recipe_path: Path) -> None:
    with zipfile.ZipFile(tiny_recipe_path) as file:
        sums = file.read("SHA256SUMS")
    assert open_package(tiny_recipe_path).content == f"sha256:{hashlib.sha256(sums).hexdigest()}"
