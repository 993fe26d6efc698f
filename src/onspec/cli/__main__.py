"""`python -m onspec.cli`, as subprocesses call it."""

from onspec.cli.main import run

if __name__ == "__main__":  # workers of `onspec serve` import this file, too
    run()
