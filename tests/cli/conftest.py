"""Running the command in this process."""

from collections.abc import Callable

import pytest

from onspec.cli import main as cli

Outcome = tuple[int, str, str]


@pytest.fixture
def onspec(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command: exit code, stdout, stderr. Arguments become text."""

    def run(*arguments: object) -> Outcome:
        with pytest.raises(SystemExit) as exited:
            cli.run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return int(str(exited.value.code)), captured.out, captured.err

    return run
