"""What a service has been told about its recipes: which versions, which is active, what was acknowledged.

Every method changes the state in place, or raises `ProblemError` and changes nothing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field

from onspec.service.problems import ProblemError

MOST_VERSIONS = 10
"""Loaded versions of one recipe: each takes the memory of its engine."""


def now() -> str:
    """UTC in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Acknowledgement(BaseModel):
    """An engineer's word that a deviation of these golden samples is known and parts may be judged all the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    reason: str
    at: str = Field(default_factory=now, description="UTC, ISO 8601")
    samples: tuple[str, ...]


class VersionState(BaseModel):
    """What is known of a version beside its file."""

    model_config = ConfigDict(extra="forbid")

    added: str = Field(default_factory=now, description="UTC, ISO 8601")
    held: dict[str, str] = Field(default_factory=dict, description="golden sample → deviation that stops verdicts")
    acknowledged: Acknowledgement | None = None


class RecipeState(BaseModel):
    """The versions of one recipe by sha256, the active one, and those that were active before it, oldest first."""

    model_config = ConfigDict(extra="forbid")

    active: str | None = None
    before: list[str] = Field(default_factory=list)
    versions: dict[str, VersionState] = Field(default_factory=dict)


class State(BaseModel):
    """All recipes by name. Every change counts `generation` up."""

    model_config = ConfigDict(extra="forbid")

    generation: int = 0
    recipes: dict[str, RecipeState] = Field(default_factory=dict)

    def add(self, name: str, digest: str) -> None:
        """A version that passed its check; 409 if there are too many."""
        recipe = self.recipes.setdefault(name, RecipeState())
        if digest not in recipe.versions and len(recipe.versions) >= MOST_VERSIONS:
            raise ProblemError(409, f"{len(recipe.versions)} versions of {name!r} are loaded; unload one first")
        recipe.versions.setdefault(digest, VersionState())

    def activate(self, name: str, digest: str) -> None:
        """The one that was active becomes the one to go back to; 404 if it is gone."""
        recipe = self._recipe(name)
        self._version(name, digest)
        if recipe.active not in (None, digest):
            recipe.before = [*(old for old in recipe.before if old != digest), str(recipe.active)][-MOST_VERSIONS:]
        recipe.active = digest

    def roll_back(self, name: str, digest: str) -> None:
        """Back to an earlier version; 409 if it is not among them."""
        recipe = self._recipe(name)
        if digest not in recipe.before:
            raise ProblemError(409, f"recipe {name!r} was rolled back meanwhile")
        recipe.before = recipe.before[: recipe.before.index(digest)]
        recipe.active = digest

    def remove(self, name: str, digest: str | None) -> None:
        """A version that is not active (else 409), or without a digest the whole recipe."""
        recipe = self._recipe(name)
        if digest is None:
            del self.recipes[name]
        elif recipe.active == digest:
            raise ProblemError(409, f"version {digest} of {name!r} is active; activate another or unload the recipe")
        else:
            recipe.versions.pop(digest, None)
            recipe.before = [old for old in recipe.before if old != digest]

    def hold(self, name: str, digest: str, stopped: Mapping[str, str], passed: bool) -> None:
        """What golden samples deviate now; when all passed, an earlier acknowledgement has served its time."""
        version = self._version(name, digest)
        version.held = dict(stopped)
        if passed:
            version.acknowledged = None

    def acknowledge(self, name: str, digest: str, word: Acknowledgement) -> None:
        """Let these samples deviate."""
        version = self._version(name, digest)
        version.held, version.acknowledged = {}, word

    def _recipe(self, name: str) -> RecipeState:
        if (recipe := self.recipes.get(name)) is None:
            raise ProblemError(404, f"recipe {name!r} was unloaded meanwhile")
        return recipe

    def _version(self, name: str, digest: str) -> VersionState:
        if (found := self._recipe(name).versions.get(digest)) is None:
            raise ProblemError(404, f"recipe {name!r} has no version {digest!r} any more")
        return found
