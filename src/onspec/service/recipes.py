"""The recipes in service: loaded, checked, activated, rolled back and unloaded while parts are judged."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from onspec.domain import OnspecError, UsageError
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package, require_released
from onspec.runtime.choosing import resolve
from onspec.runtime.golden import GoldenOutcome
from onspec.runtime.inspector import Inspector
from onspec.service.problems import ProblemError
from onspec.service.state import Acknowledgement, State
from onspec.service.store import FolderStore, MemoryStore
from onspec.service.versions import Check, Version, check_golden

logger = logging.getLogger("onspec.service")

Spread = Callable[[int], Awaitable[int]]
"""Tells the other workers of a new generation; returns how many workers, this one included, have it."""


async def alone(_: int) -> int:
    """`Spread` of a service of one process."""
    return 1


@dataclass(frozen=True, slots=True)
class Opening:
    """How a recipe file becomes an inspector.

    Attributes:
        public_key: only files signed by its private half are opened; `None` opens unsigned ones, too.
        production: only released recipes are opened.
    """

    engine: str = "auto"
    threads: int | None = None
    public_key: Path | None = None
    production: bool = False

    def package(self, path: Path) -> Package:
        """Raises what `open_package` and `require_released` raise."""
        package = open_package(path, public_key=self.public_key)
        if self.production:
            require_released(package)
        return package

    def __call__(self, path: Path) -> Inspector:
        """Raises what `package` and `Inspector` raise."""
        package = self.package(path)
        engine = resolve(self.engine, package, self.threads, None, logger.info)
        return Inspector(package, engine, self.threads)


class Recipes:
    """Versions by recipe. What a request is judged with is fixed when it arrives; it finishes there."""

    def __init__(
        self,
        inspectors: Sequence[Inspector],
        *,
        check: Check = check_golden,
        store: MemoryStore | None = None,
        opening: Opening | None = None,
    ) -> None:
        """Take `inspectors`, which are active, and all that `store` has (put files into it with `take_in`).

        Raises:
            UsageError: no recipe and no folder for later ones, or two of one name.
            RecipeError: a recipe without known results, or a folder whose state or files are damaged.
        """
        _require_distinct([inspector.recipe.name for inspector in inspectors])
        if store is None and not inspectors:
            raise UsageError("a service needs at least one recipe, or a folder for them: --recipes DIR")
        self._check, self._store, self._open = check, store or MemoryStore(), opening or Opening()
        self._versions: dict[tuple[str, str], Version] = {}
        self._active: dict[str, Version] = {}
        self._before: dict[str, tuple[str, ...]] = {}
        self._changing = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self.generation = 0
        self.spread: Spread = alone
        self.on_release: Callable[[Inspector], bool] = lambda _: True
        self.on_change: Callable[[], None] = lambda: None
        self.halted: Callable[[], str | None] = lambda: None
        for inspector in inspectors:
            self._versions[inspector.recipe.name, inspector.package.digest] = Version(inspector)
        given = list(self._versions)
        state = self._store.change(partial(_add_given, given=given)) if given else self._store.read()
        for name, recipe in state.recipes.items():
            for digest in recipe.versions:
                if (name, digest) not in self._versions:
                    self._versions[name, digest] = Version(self._open(self._store.path(digest)))
        self._apply(state)

    # Asking

    @property
    def identities(self) -> list[str]:
        """NAME@sha256:HEX of the active versions."""
        return [version.inspector.identity for version in self._active.values()]

    def names(self) -> list[str]:
        """Of the recipes that have an active version."""
        return list(self._active)

    def all_names(self) -> list[str]:
        """Of all that are loaded."""
        return list(dict.fromkeys(name for name, _ in self._versions))

    def versions(self, name: str) -> list[Version]:
        """The loaded versions of a recipe; raises ProblemError 404."""
        found = [version for (known, _), version in self._versions.items() if known == name]
        if not found:
            raise self._unknown(name)
        return found

    def active(self, name: str) -> Version | None:
        """The version that judges requests naming no version."""
        return self._active.get(name)

    def before(self, name: str) -> tuple[str, ...]:
        """The versions that were active before, oldest first."""
        return self._before.get(name, ())

    def find(self, name: str | None, version: str | None = None) -> Version:
        """A version named by NAME or NAME@sha256:HEX, or the only recipe there is.

        A request that names a version is judged by this one or not at all.

        Raises:
            ProblemError: 404 for one that is not loaded, 400 if a name is needed.
        """
        if name is None:
            if len(self._active) == 1:
                return next(iter(self._active.values()))
            if not self._active:
                raise ProblemError(503, "no recipe is active; load one: POST /api/recipes?activate=true")
            raise ProblemError(400, f"several recipes are loaded; choose one: ?recipe={' or '.join(self._active)}")
        if version is None:
            if (found := self._active.get(name)) is not None:
                return found
            name, _, version = name.partition("@sha256:")
        if (pinned := self._versions.get((name, version))) is not None:
            return pinned
        if version and any(known == name for known, _ in self._versions):
            loaded = ", ".join(digest for known, digest in self._versions if known == name)
            raise ProblemError(404, f"recipe {name!r} has no version {version!r}; loaded: {loaded}")
        raise self._unknown(name)

    def _unknown(self, name: str) -> ProblemError:
        return ProblemError(404, f"no recipe {name!r}; loaded: {', '.join(self._active) or 'none'}")

    def require_all_ready(self) -> None:
        """Raises ProblemError 503 unless there is a recipe, every active version may judge, and the engine answers."""
        if not self._active:
            raise ProblemError(503, "no recipe is active; load one: POST /api/recipes?activate=true")
        for version in self._active.values():
            version.require_ready()
        if (fault := self.halted()) is not None:
            raise ProblemError(503, fault)

    # Checking

    async def check_all(self) -> None:
        """Once after the start: the active versions first."""
        active = list(self._active.values())
        for version in [*active, *(v for v in self._versions.values() if v not in active)]:
            if version.deviations is None:
                await self.golden(version)

    async def golden(self, version: Version) -> Sequence[GoldenOutcome]:
        """Judge the golden samples now. A deviation stops verdicts here and in every worker; passing frees them."""
        outcomes = await self._run_check(version)
        stopped = version.stopped_by if version.deviations else {}
        if stopped != version.state.held or (not version.deviations and version.state.acknowledged):
            passed = not version.deviations
            await self._change(lambda state: state.hold(version.name, version.digest, stopped, passed))
            await self.spread(self.generation)
        return outcomes

    async def golden_all(self) -> None:
        """The active versions, one after the other."""
        for version in list(self._active.values()):
            await self.golden(version)

    async def acknowledge(self, version: Version, by: str, reason: str) -> None:
        """Let a version judge although golden samples deviate. The same samples do not stop it again.

        Raises:
            ProblemError: 409 if nothing deviates, or it never passed: then it is not fit for this machine.
        """
        if not version.stopped_by:
            raise ProblemError(409, f"recipe {version.name!r}: no deviation is waiting to be acknowledged")
        if not version.passed:
            raise ProblemError(409, f"{version.fault}; it never passed here, so it cannot be acknowledged")
        samples = tuple(dict.fromkeys([*(version.deviations or {}), *version.stopped_by]))
        word = Acknowledgement(by=by, reason=reason, samples=samples)
        await self._change(lambda state: state.acknowledge(version.name, version.digest, word))
        await self.spread(self.generation)

    async def _require_passed(self, version: Version, otherwise: str) -> None:
        await self._run_check(version)
        if (fault := version.fault) is not None:
            raise ProblemError(422, f"{fault}; {otherwise}")

    async def _run_check(self, version: Version) -> Sequence[GoldenOutcome]:
        outcomes: Sequence[GoldenOutcome] = ()
        with version.in_use():
            try:
                outcomes = await asyncio.to_thread(version.check, self._check)
            except Exception:  # a fault of ours; the recipe must not judge, and the reason must be seen
                logger.exception("fault", extra={"fields": {"recipe": version.inspector.identity}})
        fields = {"recipe": version.inspector.identity, "engine": version.inspector.engine_name}
        if (fault := version.fault) is None:
            logger.info("ready", extra={"fields": fields})
        else:
            logger.error("not ready", extra={"fields": fields | {"error": fault}})
        self.on_change()
        return outcomes

    # Changing

    async def load(self, data: bytes, *, activate: bool = False) -> Version:
        """Open, verify and check a recipe file, then keep it; with `activate` it judges from then on.

        Raises:
            ProblemError: 422 for what is no recipe, is not signed as it must be, or fails its golden samples;
                409 for too many versions.
        """
        async with self._changing:
            version = await asyncio.to_thread(self._opened, data)
            if (known := self._versions.get((version.name, version.digest))) is not None:
                version.inspector.close()
                version = known
            else:
                await self._admit(version, data)
        await self.spread(self.generation)
        if activate:
            await self.activate(version.name, version.digest)
        return version

    def _opened(self, data: bytes) -> Version:
        with _written(), self._store.arriving(data) as path:
            try:
                return Version(self._open(path))
            except OnspecError as error:
                raise ProblemError(422, str(error).replace(str(path), "the recipe file")) from error

    async def _admit(self, version: Version, data: bytes) -> None:
        try:
            await self._require_passed(version, "it was not loaded")
            with _written():
                await asyncio.to_thread(self._store.keep, version.digest, data)
            await self._change(lambda state: state.add(version.name, version.digest), version)
        except Exception:
            version.inspector.close()
            raise

    async def activate(self, name: str, digest: str) -> Version:
        """Judge with this version from now on, after its golden samples passed once more. What is in flight finishes.

        Raises:
            ProblemError: 404 if it is not loaded, 422 if it fails.
        """
        version = self.find(name, digest)
        await self._require_passed(version, "it was not activated")
        await self._change(lambda state: state.activate(name, digest))
        await self.spread(self.generation)
        return version

    async def roll_back(self, name: str) -> Version:
        """Judge with the version that was active before.

        Raises:
            ProblemError: 409 if there was none or it was unloaded, 422 if it fails now.
        """
        self.versions(name)
        loaded = [digest for digest in self.before(name) if (name, digest) in self._versions]
        if not loaded:
            raise ProblemError(409, f"recipe {name!r} has no earlier version to go back to")
        version = self.find(name, loaded[-1])
        await self._require_passed(version, "it was not activated")
        await self._change(lambda state: state.roll_back(name, version.digest))
        await self.spread(self.generation)
        return version

    async def unload(self, name: str, digest: str | None = None) -> None:
        """Take a version, or a whole recipe, out of service after its last answer.

        Raises:
            ProblemError: 404 if it is not loaded, 409 for the active version of a recipe.
        """
        gone = self.versions(name) if digest is None else [self.find(name, digest)]
        await self._change(lambda state: state.remove(name, digest))
        await self.spread(self.generation)
        for version in gone:
            await asyncio.to_thread(self._store.drop, version.digest)

    async def sync(self) -> int:
        """Take over what another worker changed; the generation that is served then."""
        async with self._changing:
            state = await asyncio.to_thread(self._store.read)
            for name, recipe in state.recipes.items():
                for digest in [digest for digest in recipe.versions if (name, digest) not in self._versions]:
                    version = await asyncio.to_thread(lambda path: Version(self._open(path)), self._store.path(digest))
                    self._versions[name, digest] = version
                    version.state = recipe.versions[digest]
                    await self._run_check(version)
            self._apply(state)
            return self.generation

    async def _change(self, edit: Callable[[State], None], arriving: Version | None = None) -> None:
        with _written():
            state = await asyncio.to_thread(self._store.change, edit)
        if arriving is not None:
            self._versions[arriving.name, arriving.digest] = arriving
        self._apply(state)

    def _apply(self, state: State) -> None:
        """Serve what the state says, as far as it is loaded; retire the rest."""
        if state.generation < self.generation:  # a change that was overtaken
            return
        self.generation = state.generation
        wanted = {(name, digest): v for name, r in state.recipes.items() for digest, v in r.versions.items()}
        for key in [key for key in self._versions if key not in wanted]:
            self._retire(self._versions.pop(key))
        for key, version in self._versions.items():
            version.state = wanted[key]
        self._active = {
            name: self._versions[name, r.active]
            for name, r in state.recipes.items()
            if r.active is not None and (name, r.active) in self._versions
        }
        self._before = {name: tuple(r.before) for name, r in state.recipes.items()}
        self.on_change()

    def _retire(self, version: Version) -> None:
        def give_back() -> None:
            if self.on_release(version.inspector):
                version.inspector.close()

        def released() -> None:
            closing = asyncio.get_running_loop().create_task(asyncio.to_thread(give_back))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

        version.retire(released)

    def close(self) -> None:
        """Give the engines back."""
        for version in self._versions.values():
            version.inspector.close()


@contextmanager
def _written() -> Iterator[None]:
    """Around what writes to the folder of recipes: a disk that takes nothing is no fault of ours."""
    try:
        yield
    except OSError as error:
        raise ProblemError(
            507, f"the folder of recipes cannot be written to ({error.strerror}), so nothing was changed; make room"
        ) from error


def take_in(store: FolderStore, paths: Sequence[Path], opening: Opening) -> None:
    """Put recipe files into a store, active where their recipe has no active version yet: what was activated stays.

    Raises:
        UsageError: two of one name, or of a recipe that has as many versions as it may.
        RecipeError, IntegrityError: a file that is no recipe, or not signed as it must be.
    """
    opened = [(path, opening.package(path)) for path in paths]
    given = [(package.recipe.name, package.digest) for _, package in opened]
    _require_distinct([name for name, _ in given])
    try:
        _add_given(store.read(), given)  # refused before anything is stored
        for path, package in opened:
            store.keep(package.digest, path.read_bytes())
        state = store.change(partial(_add_given, given=given))
    except ProblemError as problem:
        raise UsageError(
            f"{problem.sentence}, or start without its file: DELETE /api/recipes/NAME/versions/SHA256"
        ) from None
    for name, digest in given:
        if (active := state.recipes[name].active) != digest:
            logger.warning("not active", extra={"fields": {"recipe": f"{name}@sha256:{digest}", "active": active}})


def _add_given(state: State, given: Sequence[tuple[str, str]]) -> None:
    for name, digest in given:
        state.add(name, digest)
        state.recipes[name].active = state.recipes[name].active or digest


def _require_distinct(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"two of the recipes are called {twice!r}; a request could not tell them apart")
