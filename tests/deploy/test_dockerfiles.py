"""What the image files promise, read from their text; test_container.py builds one and runs it."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(params=["serve", "train"])
def lines(request: pytest.FixtureRequest) -> list[str]:
    """The instructions of an image file, continued lines joined, comments gone."""
    text = (ROOT / "deploy" / f"{request.param}.Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def instructions(lines: list[str], name: str) -> list[str]:
    """The arguments of every instruction of one name."""
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{name} ")]


def test_every_stage_stands_on_the_base_that_can_be_chosen(lines: list[str]) -> None:
    assert lines[0].startswith("ARG BASE=")
    assert {stage.split()[0] for stage in instructions(lines, "FROM")} == {"${BASE}"}


def test_it_runs_as_a_user_that_is_not_root_by_number(lines: list[str]) -> None:
    users = instructions(lines, "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
    assert lines.index(f"USER {users[-1]}") < next(i for i, line in enumerate(lines) if line.startswith("ENTRYPOINT"))


def test_it_starts_onspec_and_has_a_health_check(lines: list[str]) -> None:
    assert instructions(lines, "ENTRYPOINT") == ['["onspec"]']
    assert len(instructions(lines, "HEALTHCHECK")) == 1


def test_its_labels_are_those_of_the_package(lines: list[str]) -> None:
    label = instructions(lines, "LABEL")[0]
    assert f'org.opencontainers.image.licenses="{PROJECT["license"]}"' in label
    assert f"VERSION={PROJECT['version']}" in instructions(lines, "ARG")


def test_nothing_is_taken_from_outside_the_package_index(lines: list[str]) -> None:
    assert not re.search(r"curl|wget|index-url|apt-get|git clone|ADD http", "\n".join(lines))


def test_every_extra_exists(lines: list[str]) -> None:
    extras = next(a.removeprefix("EXTRAS=") for a in instructions(lines, "ARG") if a.startswith("EXTRAS="))
    assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


def test_what_is_copied_exists_and_is_sent_to_the_build(lines: list[str]) -> None:
    sources = [s for copy in instructions(lines, "COPY") if "--from" not in copy for s in copy.split()[:-1]]
    sent = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"]
    assert sources
    assert all((ROOT / source).exists() for source in sources)
    assert {source.removeprefix("./") for source in sources} <= set(sent)


def test_the_serving_image_asks_its_own_readiness_and_has_no_torch() -> None:
    text = (ROOT / "deploy" / "serve.Dockerfile").read_text()
    assert "/v2/health/ready" in text
    extras = PROJECT["optional-dependencies"]
    assert "ARG EXTRAS=serve\n" in text
    assert not any("torch" in need for need in PROJECT["dependencies"] + extras["serve"] + extras["sign"])
