"""The comparison with peers: those that are installed agree and are timed, those that fail are named."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_peers_agree_and_are_timed() -> None:
    peers = ["onnxruntime_plain", "torch_eager", "onspec_onnxruntime", "onspec_folder"]
    command = [sys.executable, "-m", "benchmarks.peers", "--size", "64", "--rounds", "2", "--threads", "1", "--only"]
    done = subprocess.run([*command, *peers], cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "left out" not in done.stdout
    rows = [line.split(" | ")[0].removeprefix("| ") for line in done.stdout.splitlines()[3:]]
    assert rows == ["ONNX Runtime", "PyTorch", "onspec, onnxruntime", "onspec, as for folders"]
    for line in done.stdout.splitlines()[3:]:
        assert float(line.split(" | ")[-1].removesuffix(" |")) < 1e-4
