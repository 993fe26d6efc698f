"""One loaded version of a recipe: whether it may judge, and who still needs it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from onspec.domain import OnspecError, RecipeError
from onspec.runtime.golden import GoldenOutcome, run_golden
from onspec.runtime.inspector import Inspector
from onspec.service.problems import ProblemError, busy
from onspec.service.state import VersionState

Check = Callable[[Inspector], Sequence[GoldenOutcome]]
"""Judges an inspector's golden samples before it may judge parts."""


def check_golden(inspector: Inspector) -> list[GoldenOutcome]:
    """On this machine and engine."""
    return run_golden(inspector, inspector.package.golden)


class Version:
    """An inspector in service. It judges only while its golden samples give their known results here."""

    def __init__(self, inspector: Inspector) -> None:
        """Raises RecipeError for a recipe without known results: nothing shows that it judges right here."""
        golden = inspector.package.golden
        if not golden or any(sample.expected is None for sample in golden):
            raise RecipeError(
                f"recipe {inspector.recipe.name!r} has no golden samples with known results, so nothing shows "
                "that it judges right on this machine; make the recipe file with: onspec pack"
            )
        self.inspector = inspector
        self.name = inspector.recipe.name
        self.digest = inspector.package.digest
        self.state = VersionState()
        self.deviations: dict[str, str] | None = None
        self.passed = False
        self._users = 0
        self._released: Callable[[], None] | None = None

    def check(self, check: Check) -> Sequence[GoldenOutcome]:
        """Judge the golden samples and keep what deviates; may take seconds, so not in the event loop."""
        try:
            outcomes = check(self.inspector)
        except OnspecError as error:
            self.deviations = {"golden samples": str(error)}
            return ()
        except Exception:
            self.deviations = {"golden samples": "could not be checked (internal fault; see the server's log)"}
            raise
        self.deviations = {outcome.name: outcome.deviation for outcome in outcomes if outcome.deviation is not None}
        self.passed = self.passed or not self.deviations
        return outcomes

    @property
    def stopped_by(self) -> dict[str, str]:
        """The deviations that keep it from judging; those that an engineer acknowledged do not count."""
        known = self.state.acknowledged.samples if self.state.acknowledged else ()
        found = {**self.state.held, **(self.deviations or {})}
        return {sample: deviation for sample, deviation in found.items() if sample not in known}

    @property
    def condition(self) -> str:
        """In one word."""
        if self.deviations is None:
            return "checking"
        return "stopped" if self.stopped_by else "acknowledged" if self.state.acknowledged else "ready"

    @property
    def fault(self) -> str | None:
        """Why it may not judge, in a sentence."""
        if not (stopped := self.stopped_by):
            return None
        sample, deviation = next(iter(stopped.items()))
        return (
            f"recipe {self.name!r}: {len(stopped)} of its golden samples are not judged as expected here: "
            f"{sample}: {deviation}"
        )

    def require_ready(self) -> None:
        """Raises ProblemError 503 unless it may judge."""
        if self.deviations is None:
            raise busy(f"recipe {self.name!r} is still being checked against its golden samples; try again")
        if (fault := self.fault) is not None:
            raise ProblemError(503, fault)

    @contextmanager
    def in_use(self) -> Iterator[Inspector]:
        """Keeps the engine while a request needs it, whatever becomes of the version meanwhile."""
        self._users += 1
        try:
            yield self.inspector
        finally:
            self._users -= 1
            self._release_if_free()

    def retire(self, released: Callable[[], None]) -> None:
        """Call `released` when the last request that uses it has its answer."""
        self._released = released
        self._release_if_free()

    def _release_if_free(self) -> None:
        if self._released is not None and not self._users:
            released, self._released = self._released, None
            released()
