"""Commands about the archive where its database library is not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT = "import sys; sys.modules['sqlalchemy'] = None; from onspec.cli.main import run; run(sys.argv[1:])"


def without_sqlalchemy(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("command", [("records", "list"), ("replay", "tile.onspec"), ("msa",)])
def test_what_to_install_is_said(command: tuple[str, ...]) -> None:
    done = without_sqlalchemy(*command, "--db", "r.db")
    assert done.returncode == 2
    assert done.stderr == (
        "onspec: An archive of records needs an optional part of onspec; install it with: pip install 'onspec[serve]'\n"
    )


def test_a_study_from_a_table_needs_no_archive(tmp_path: Path) -> None:
    study = tmp_path / "study.csv"
    rows = [f"{part},{name},{trial},OK,OK" for part in (1, 2) for name in "ab" for trial in (1, 2)]
    study.write_text("\n".join(["part,appraiser,trial,verdict,truth", *rows]) + "\n")
    done = without_sqlalchemy("msa", study, "--json")
    assert done.stdout.startswith("{"), done.stderr
