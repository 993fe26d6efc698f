"""What a newcomer types first: make sets up what it needs, or says what is missing."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make on the project's Makefile."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed; on Debian: apt-get install make")
    return subprocess.run(
        ["make", "--no-print-directory", "-C", ROOT, *arguments],
        capture_output=True, text=True, check=False, timeout=60, env=os.environ | environment,
    )  # fmt: skip


def script(path: Path, body: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_help_names_every_target() -> None:
    targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    said = make().stdout
    assert all(f"make {target} " in said for target in targets if target != "help")


def test_an_old_python_is_named_and_nothing_is_made(tmp_path: Path) -> None:
    old = script(tmp_path / "python2", 'case "$1" in --version) echo Python 2.7.18 ;; *) exit 1 ;; esac')
    done = make("venv", f"PYTHON={old}", f"VENV={tmp_path}/venv")
    assert done.returncode == 2
    assert "needs Python 3.11 or newer" in done.stderr
    assert "Python 2.7.18" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_is_told_how_to_get_it(tmp_path: Path) -> None:
    bare = script(tmp_path / "python3", 'case "$2" in *ensurepip*) exit 1 ;; esac')
    done = make("venv", f"PYTHON={bare}", f"VENV={tmp_path}/venv")
    assert done.returncode == 2
    assert "apt-get install python3-venv" in done.stderr


@pytest.mark.parametrize("target", ["demo", "test", "test-slow", "check", "test-container"])
def test_each_target_sets_up_its_own_environment_first(target: str, tmp_path: Path) -> None:
    lines = make("--dry-run", target, f"VENV={tmp_path}/venv").stdout.splitlines()
    ready = lines.index(f"touch {tmp_path}/venv/.ready")
    assert any("-m venv" in line for line in lines[:ready])
    assert any("install" in line and "--editable" in line for line in lines[:ready])
    assert lines[ready + 1].startswith(f"{tmp_path}/venv/bin/")


def test_it_is_set_up_once_and_again_after_a_change_of_the_project(tmp_path: Path) -> None:
    """A Python that notes what it is asked to install, in the place of a virtual environment."""
    log = tmp_path / "log"
    venv = tmp_path / "venv"
    script(venv / "bin" / "python", f'case "$3" in install) echo "$@" >> {log} ;; esac')
    for _ in range(2):
        done = make("venv", f"VENV={venv}")
        assert done.returncode == 0, done.stderr
    assert log.read_text().count("\n") == 1
    assert "--editable .[all,dev]" in log.read_text()
    os.utime(venv / ".ready", (0, 0))
    make("venv", f"VENV={venv}")
    assert log.read_text().count("\n") == 2


def test_an_install_that_fails_is_done_again(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    script(venv / "bin" / "python", 'case "$3" in install) exit 1 ;; esac')
    assert make("venv", f"VENV={venv}").returncode == 2
    assert not (venv / ".ready").exists()


def test_ci_runs_the_same_targets_and_is_executable() -> None:
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    called = re.findall(r"^make (\S+)$", path.read_text(), re.MULTILINE)
    assert set(called) == {"check", "test", "test-slow", "test-container"}
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
