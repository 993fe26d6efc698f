"""The `onspec` command. Each verb lives in a file of its own, imported only when it is called."""

import difflib
import functools
import importlib
import os
import sys
from collections.abc import Callable
from typing import NoReturn

# Before any engine is imported: onspec sends nothing to anyone.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# Nor does OpenCV talk: what is wrong with a file, onspec says itself.
os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

import typer

from onspec import __version__
from onspec.domain import OnspecError, UsageError

VERBS: dict[str, str] = {
    "demo": "The whole way on generated data, from images to a verdict and a report.",
    "synth": "Generate a data set in the layout of DAGM, COCO or folders.",
    "check": "Look through a data set and say what is wrong with it.",
    "convert": "Write a data set in another layout.",
    "train": "Train a model from a data set within a time budget.",
    "evaluate": "Measure a run or recipe on labelled images; write metrics and a report.",
    "threshold": "Choose the operating point by a stated risk, or by cost.",
    "msa": "Analyse a measurement system: agreement of verdicts, or gauge R&R of sizes.",
    "calibrate": "Measure how large a pixel is on the part, from an image of a pattern.",
    "rules": "Check a rules file and say in words what it says; print its JSON Schema.",
    "pack": "Pack a run and the plant's rules into one recipe file.",
    "verify": "Check a recipe's integrity, signature and golden samples.",
    "acceptance": "Run the acceptance test after VDI/VDE/VDMA 2632-3; write its protocol.",
    "release": "Raise a recipe's state: draft, tested, released.",
    "diff": "Say what two recipes differ in.",
    "inspect": "Judge images with a recipe.",
    "explain": "Say why an image was judged as it was; try other rules on it.",
    "serve": "Judge images over HTTP.",
    "records": "Look through recorded verdicts, review parts, export them as a data set.",
    "replay": "Say what another recipe or rule set would have decided on recorded parts.",
    "drift": "Say whether images and scores still look as in training; alarms in words.",
    "bench": "Compare engines on this machine: time, memory, verdicts.",
    "quantize": "Write a recipe in lower precision, if it judges as its parent does.",
    "hasten": "Write a recipe that looks closely only where a coarse network sees something.",
    "export": "Write a recipe's model for another runtime.",
}
"""Verb → one line of help, in the order in which a user meets them; `onspec.cli.VERB` has a function `command`."""


def help_text() -> str:
    """What `onspec --help` prints; imports no verb."""
    rows = "\n".join(f"  {verb:<10} {summary}" for verb, summary in VERBS.items())
    return (
        "Usage: onspec COMMAND [ARGUMENTS]...\n\n"
        "Industrial visual inspection from scratch to production.\n\n"
        f"Commands:\n{rows}\n\n"
        "Options:\n"
        "  --help     Show this, or with a command its arguments and an example.\n"
        "  --version  Show the version.\n"
        "  --debug    With a command: show the traceback of an error.\n\n"
        "Example: onspec demo --out demo/\n"
    )


def run(args: list[str] | None = None) -> NoReturn:
    """Entry point: exit 0 done, 1 done with something to report, 2 bad usage or input, 130 after Ctrl-C."""
    arguments = sys.argv[1:] if args is None else args
    # `--debug` may stand anywhere, so that it can be added to the end of the line that failed.
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    try:
        _dispatch(arguments)
    except OnspecError as error:
        if debug:
            raise
        typer.echo(f"onspec: {error}", err=True)
        sys.exit(2)
    except OSError as error:  # a folder without rights, a full disk, a name that is too long
        if debug:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        typer.echo(f"onspec: {where}{error.strerror or error}; check the name, your rights and the disk", err=True)
        sys.exit(2)
    sys.exit(0)


def _dispatch(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        typer.echo(help_text(), nl=False, err=not arguments)
        sys.exit(0 if arguments else 2)
    if arguments[0] == "--version":
        typer.echo(f"onspec {__version__}")
        return
    verb = arguments[0]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose {', '.join(VERBS)}"
        raise UsageError(f"Unknown command {verb!r}; {hint}")
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(_exiting(importlib.import_module(f"onspec.cli.{verb}").command))
    app(args=arguments[1:], prog_name=f"onspec {verb}")


def _exiting(command: Callable[..., int]) -> Callable[..., None]:
    """The command, its result turned into the exit code and Ctrl-C into a sentence."""

    @functools.wraps(command)
    def call(*args: object, **options: object) -> None:
        try:
            code = command(*args, **options)
        except KeyboardInterrupt:
            typer.echo("onspec: stopped; what was finished is kept", err=True)
            code = 130
        raise typer.Exit(code)

    return call
