"""The recipes a service was started with, and whether each may judge."""

import logging
from collections.abc import Callable, Sequence

from onspec.domain import OnspecError, RecipeError, UsageError
from onspec.runtime.golden import run_golden
from onspec.runtime.inspector import Inspector
from onspec.service.problems import ProblemError, busy

logger = logging.getLogger("onspec.service")

Check = Callable[[Inspector], str | None]
"""Runs on an inspector before it may judge; returns why it may not, or `None`."""


def check_golden(inspector: Inspector) -> str | None:
    """Judge the recipe's golden samples on this machine and engine; the sentence of the first that differs."""
    name = inspector.recipe.name
    try:
        failed = [outcome for outcome in run_golden(inspector, inspector.package.golden) if not outcome.ok]
    except OnspecError as error:
        return f"recipe {name!r}: its golden samples cannot be judged: {error}"
    if failed:
        first = f"{failed[0].name}: {failed[0].deviation}"
        return f"recipe {name!r}: {len(failed)} of its golden samples are not judged as expected here: {first}"
    return None


class Recipes:
    """Inspectors by recipe name. None judges before its golden samples passed."""

    def __init__(self, inspectors: Sequence[Inspector], check: Check = check_golden) -> None:
        """Raises UsageError for no recipe and for two of one name, RecipeError for one that cannot be checked."""
        if not inspectors:
            raise UsageError("a service needs at least one recipe")
        for inspector in inspectors:
            _require_known_results(inspector)
        self._inspectors = {inspector.recipe.name: inspector for inspector in inspectors}
        if len(self._inspectors) < len(inspectors):
            names = [inspector.recipe.name for inspector in inspectors]
            twice = next(name for name in names if names.count(name) > 1)
            raise UsageError(f"two of the recipes are called {twice!r}; a request could not tell them apart")
        self._check = check
        self._checked: dict[str, str | None] = {}

    @property
    def identities(self) -> list[str]:
        """NAME@sha256:HEX of each, in the order given."""
        return [inspector.identity for inspector in self._inspectors.values()]

    def names(self) -> list[str]:
        """In the order given."""
        return list(self._inspectors)

    def check(self, name: str) -> None:
        """Let the recipe judge if it passes; otherwise keep the reason and log it."""
        inspector = self._inspectors[name]
        try:
            fault = self._check(inspector)
        except Exception:  # a fault of ours; the recipe must not judge, and the reason must be seen
            logger.exception("fault", extra={"fields": {"recipe": inspector.identity}})
            fault = f"recipe {name!r} could not be checked (internal fault; see the server's log)"
        self._checked[name] = fault
        fields = {"recipe": inspector.identity, "engine": inspector.engine_name}
        if fault is None:
            logger.info("ready", extra={"fields": fields})
        else:
            logger.error("not ready", extra={"fields": fields | {"error": fault}})

    def close(self) -> None:
        """Give the engines back."""
        for inspector in self._inspectors.values():
            inspector.close()

    def find(self, name: str | None) -> Inspector:
        """The inspector of a recipe named by NAME or NAME@sha256:HEX, or the only one there is.

        Raises:
            ProblemError: 404 for one that is not loaded, 400 if a name is needed.
        """
        if name is None:
            if len(self._inspectors) == 1:
                return next(iter(self._inspectors.values()))
            raise ProblemError(400, f"several recipes are loaded; choose one: ?recipe={' or '.join(self._inspectors)}")
        for known, inspector in self._inspectors.items():
            if name in (known, inspector.identity):
                return inspector
        raise ProblemError(404, f"no recipe {name!r}; loaded: {', '.join(self._inspectors)}")

    def require_ready(self, inspector: Inspector) -> None:
        """Raises ProblemError 503 unless the recipe's golden samples passed."""
        name = inspector.recipe.name
        if name not in self._checked:
            raise busy(f"recipe {name!r} is still being checked against its golden samples; try again")
        fault = self._checked[name]
        if fault is not None:
            raise ProblemError(503, fault)

    def require_all_ready(self) -> None:
        """Raises ProblemError 503 unless every recipe may judge."""
        for inspector in self._inspectors.values():
            self.require_ready(inspector)


def _require_known_results(inspector: Inspector) -> None:
    """A recipe without golden samples, or a draft whose samples have no known results yet, proves nothing here."""
    golden = inspector.package.golden
    if not golden or any(sample.expected is None for sample in golden):
        raise RecipeError(
            f"recipe {inspector.recipe.name!r} has no golden samples with known results, so nothing shows "
            "that it judges right on this machine; make the recipe file with: onspec pack"
        )
