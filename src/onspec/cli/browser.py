"""An HTML page → PDF, through a browser that is installed anyway."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from onspec.domain import UsageError

BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    *("microsoft-edge", "microsoft-edge-stable", "msedge", "headless_shell"),
)
"""Programs of Chromium's kind, by their usual names; all print the same way."""

_SECONDS = 180


def find_browser() -> Path:
    """The first of `BROWSERS` on the search path.

    Raises:
        UsageError: none is installed.
    """
    for name in BROWSERS:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise UsageError(
        "a PDF is printed by a browser, and none was found (Chromium, Chrome or Edge); install one, or leave out --pdf "
        "and print acceptance.html from any browser"
    )


def print_pdf(browser: Path, page: Path, out: Path) -> None:
    """Print a page of ours, without scripts and network, as the browser's own print would.

    Raises:
        UsageError: the browser failed or made no file.
    """
    with tempfile.TemporaryDirectory() as profile:
        made = Path(profile) / "page.pdf"
        line = [
            str(browser),
            *("--headless", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-dev-shm-usage"),
            *("--no-pdf-header-footer", f"--user-data-dir={profile}/profile", f"--print-to-pdf={made}"),
            # Chromium's sandbox refuses to run as root, as in a container; the page is made here and runs nothing.
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            page.resolve().as_uri(),
        ]
        try:
            done = subprocess.run(line, capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(
                f"{browser} printed no PDF ({type(error).__name__}); print {page} from a browser"
            ) from error
        if not made.is_file() or done.returncode != 0:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            why = last[0] if last else f"exit code {done.returncode}"
            raise UsageError(f"{browser} printed no PDF ({why}); print {page} from a browser")
        try:
            shutil.copyfile(made, out)
        except OSError as error:
            raise UsageError(f"{out}: cannot be written ({error.strerror}); check the folder and its rights") from error
