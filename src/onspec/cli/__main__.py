"""`python -m onspec.cli`, as subprocesses call it."""

from onspec.cli.main import run

run()
