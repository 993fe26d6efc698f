"""The command line as a whole: verbs, help, exit codes, and errors in one sentence."""

import errno
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from onspec import __version__
from onspec.cli import main as cli
from onspec.domain import DataError

CONTRACT = (
    "demo", "synth", "check", "convert", "train", "evaluate", "threshold", "pack", "verify", "inspect", "serve",
    "export",
)  # fmt: skip
"""The verbs that users and their scripts may rely on."""

Outcome = tuple[int, str, str]


@pytest.fixture
def onspec(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command in this process: exit code, stdout, stderr."""

    def run(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as exited:
            cli.run(list(arguments))
        captured = capsys.readouterr()
        return int(str(exited.value.code)), captured.out, captured.err

    return run


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], int]], None]:
    """Put another command in the place of `onspec check`."""

    def replace(command: Callable[[], int]) -> None:
        module = ModuleType("onspec.cli.check")
        module.command = command  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "onspec.cli.check", module)

    return replace


def failing(error: BaseException) -> Callable[[], int]:
    """A command that raises."""

    def command() -> int:
        raise error

    return command


def test_every_documented_verb_exists() -> None:
    assert set(CONTRACT) <= set(cli.VERBS)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_with_an_example(verb: str, onspec: Callable[..., Outcome]) -> None:
    code, out, _ = onspec(verb, "--help")
    assert code == 0
    assert "Usage:" in out
    assert "Example: onspec " + verb in " ".join(out.split())


def test_help_lists_every_verb_without_importing_any(onspec: Callable[..., Outcome]) -> None:
    code, out, _ = onspec("--help")
    assert code == 0
    for verb, summary in cli.VERBS.items():
        assert f"  {verb} " in out
        assert summary in out


def test_no_verb_shows_the_help(onspec: Callable[..., Outcome]) -> None:
    code, out, err = onspec()
    assert (code, out) == (2, "")
    assert "Usage: onspec" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["inspekt"], "did you mean inspect?"),
        (["--frobnicate"], "choose demo"),
        (["serve", "--frobnicate"], "--frobnicate"),
        (["serve"], "name a recipe file"),
        (["inspect"], "Missing argument"),
        (["serve", "a.onspec", "--port", "http"], "--port"),
    ],
)
def test_bad_usage_is_exit_2_and_says_what(arguments: list[str], says: str, onspec: Callable[..., Outcome]) -> None:
    code, out, err = onspec(*arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def test_the_version(onspec: Callable[..., Outcome]) -> None:
    assert onspec("--version") == (0, f"onspec {__version__}\n", "")


def test_an_error_is_one_sentence_on_stderr(onspec: Callable[..., Outcome], check: Callable[..., None]) -> None:
    check(failing(DataError("no images under parts; check the folder's name")))
    assert onspec("check") == (2, "", "onspec: no images under parts; check the folder's name\n")


def test_what_the_system_refuses_is_a_sentence_too(onspec: Callable[..., Outcome], check: Callable[..., None]) -> None:
    check(failing(OSError(errno.ENOSPC, "No space left on device", "out/report.html")))
    told = "onspec: out/report.html: No space left on device; check the name, your rights and the disk\n"
    assert onspec("check") == (2, "", told)


@pytest.mark.parametrize("arguments", [["--debug", "check"], ["check", "--debug"]])
def test_debug_gives_the_traceback(arguments: list[str], check: Callable[..., None]) -> None:
    check(failing(DataError("no images")))
    with pytest.raises(DataError):
        cli.run(arguments)


def test_ctrl_c_is_130_without_a_traceback(onspec: Callable[..., Outcome], check: Callable[..., None]) -> None:
    check(failing(KeyboardInterrupt()))
    code, out, err = onspec("check")
    assert (code, out) == (130, "")
    assert "stopped" in err


@pytest.mark.parametrize("code", [0, 1])
def test_what_a_command_returns_is_the_exit_code(
    code: int, onspec: Callable[..., Outcome], check: Callable[..., None]
) -> None:
    check(lambda: code)
    assert onspec("check")[0] == code


def test_the_installed_command_starts_in_a_fresh_process_without_torch_or_opencv() -> None:
    code = (
        "import sys; from onspec.cli.main import run\n"
        "try: run(['--help'])\n"
        "finally: assert not {'torch', 'cv2', 'onnxruntime', 'fastapi'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "inspect" in done.stdout
