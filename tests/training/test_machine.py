"""Half precision only where the machine has instructions for it."""

from pathlib import Path

import pytest
import torch

from onspec.training import machine


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("flags\t\t: fpu avx2 avx512f amx_bf16\nflags\t\t: fpu\n", True),
        ("flags\t\t: fpu avx512_bf16\n", True),
        ("flags\t\t: fpu avx2 avx512f\n", False),
        ("model name : avx512_bf16\n", False),
        ("", False),
    ],
)
def test_instructions_are_read_from_what_linux_says(text: str, has: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert machine._has_bf16(tmp_path / "cpuinfo") is has


def test_of_another_system_nothing_is_known(tmp_path: Path) -> None:
    assert not machine._has_bf16(tmp_path / "absent")


@pytest.mark.parametrize(
    ("gpu", "flag", "precision"), [(False, False, "32-true"), (False, True, "bf16-mixed"), (True, False, "bf16-mixed")]
)
def test_precision_follows_the_machine(gpu: bool, flag: bool, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(machine, "_has_bf16", lambda: flag)
    assert machine.precision() == precision


def test_one_process_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    fabric = machine.open_machine()
    assert fabric.is_global_zero
    assert fabric.world_size == 1
