"""`/api/recipes…`: load, check, activate, roll back and unload recipes while parts are judged."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from onspec.service.body import read_body
from onspec.service.problems import Problem, ProblemError
from onspec.service.recipes import Recipes
from onspec.service.state import Acknowledgement
from onspec.service.versions import Version


class VersionInfo(BaseModel):
    """A loaded version."""

    version: str = Field(description="sha256 of the recipe file")
    active: bool = Field(description="it judges requests that name no version")
    condition: str = Field(description="checking, ready, acknowledged (ready although samples deviate) or stopped")
    deviations: dict[str, str] = Field(description="golden samples that keep it from judging, and how they deviate")
    acknowledged: Acknowledgement | None
    added: str
    signed: bool
    engine: str
    task: str
    classes: list[str]
    created: str = Field(description="when the recipe was made, UTC")


class RecipeInfo(BaseModel):
    """A recipe with its loaded versions."""

    name: str
    active: str | None = Field(description="the version that judges; null if there is none")
    before: list[str] = Field(description="versions that were active before, oldest first; rollback takes the last")
    versions: list[VersionInfo]


class GoldenInfo(BaseModel):
    """A golden sample judged now."""

    sample: str
    expected: str | None
    verdict: str
    score: float | None
    deviation: str | None = Field(description="how it differs from its known result; null if it does not")


class GoldenReport(BaseModel):
    """All golden samples of a version."""

    version: str
    condition: str
    samples: list[GoldenInfo]


class Word(BaseModel):
    """Who takes the responsibility, and why."""

    model_config = ConfigDict(extra="forbid")

    by: str = Field(min_length=1, max_length=200, examples=["M. Weber, quality"])
    reason: str = Field(min_length=1, max_length=2000, examples=["new lamp; limits checked on 50 parts, order 4711"])


_VERSION = Query(description="sha256 of the recipe file; otherwise the active version")
_REFUSED: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The body is empty, or no text."},
    404: {"model": Problem, "description": "No such recipe or version."},
    409: {"model": Problem, "description": "Not possible in its present condition."},
    422: {"model": Problem, "description": "Not a recipe, not signed as it must be, or its golden samples deviate."},
    507: {"model": Problem, "description": "The folder of recipes cannot be written to, as when the disk is full."},
}


def router(recipes: Recipes, max_bytes: int) -> APIRouter:
    """All of it; who may do what is in `roles.py`."""
    routes = APIRouter(prefix="/api/recipes", tags=["recipes"], responses=_REFUSED)
    too_large: dict[int | str, dict[str, Any]] = {413: {"model": Problem, "description": "The file is too large."}}
    body = {
        "description": "A recipe file (.onspec).",
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }

    @routes.get("", summary="All recipes")
    async def all_recipes() -> list[RecipeInfo]:
        return [_info(recipes, name) for name in recipes.all_names()]

    @routes.get("/{name}", summary="A recipe and its versions")
    async def one_recipe(name: str) -> RecipeInfo:
        return _info(recipes, name)

    @routes.post(
        "",
        summary="Load a recipe file",
        status_code=201,
        responses=too_large,
        openapi_extra={"requestBody": body},
    )
    async def load(
        request: Request,
        activate: Annotated[bool, Query(description="judge with it from then on")] = False,
    ) -> RecipeInfo:
        data = await read_body(request, max_bytes)
        if not data:
            raise ProblemError(400, "the request holds no recipe (0 bytes); send it with: curl --data-binary @a.onspec")
        version = await recipes.load(data, activate=activate)
        return _info(recipes, version.name)

    @routes.post("/{name}/activate", summary="Judge with a version from now on")
    async def activate_version(
        name: str, version: Annotated[str, Query(description="sha256 of the recipe file")]
    ) -> RecipeInfo:
        await recipes.activate(name, version)
        return _info(recipes, name)

    @routes.post("/{name}/rollback", summary="Judge with the version that was active before")
    async def roll_back(name: str) -> RecipeInfo:
        await recipes.roll_back(name)
        return _info(recipes, name)

    @routes.post("/{name}/golden", summary="Judge the golden samples now")
    async def golden(name: str, version: Annotated[str | None, _VERSION] = None) -> GoldenReport:
        found = recipes.find(name, version)
        outcomes = await recipes.golden(found)
        samples = [
            GoldenInfo(
                sample=outcome.name,
                expected=outcome.expected.verdict if outcome.expected else None,
                verdict=outcome.inspection.verdict,
                score=outcome.inspection.score,
                deviation=outcome.deviation,
            )
            for outcome in outcomes
        ]
        return GoldenReport(version=found.digest, condition=found.condition, samples=samples)

    @routes.post("/{name}/golden/acknowledge", summary="Go on judging although golden samples deviate")
    async def acknowledge(name: str, word: Word, version: Annotated[str | None, _VERSION] = None) -> RecipeInfo:
        await recipes.acknowledge(recipes.find(name, version), word.by, word.reason)
        return _info(recipes, name)

    @routes.delete("/{name}", summary="Unload a recipe", status_code=204)
    async def unload(name: str) -> None:
        await recipes.unload(name)

    @routes.delete("/{name}/versions/{version}", summary="Unload a version that is not active", status_code=204)
    async def unload_version(name: str, version: str) -> None:
        await recipes.unload(name, version)

    return routes


def _info(recipes: Recipes, name: str) -> RecipeInfo:
    versions, active = recipes.versions(name), recipes.active(name)
    return RecipeInfo(
        name=name,
        active=active.digest if active else None,
        before=list(recipes.before(name)),
        versions=[_version(version, version is active) for version in versions],
    )


def _version(version: Version, active: bool) -> VersionInfo:
    recipe, package = version.inspector.recipe, version.inspector.package
    return VersionInfo(
        version=version.digest,
        active=active,
        condition=version.condition,
        deviations=version.stopped_by,
        acknowledged=version.state.acknowledged,
        added=version.state.added,
        signed=package.signed,
        engine=version.inspector.engine_name,
        task=recipe.task,
        classes=list(recipe.classes),
        created=recipe.provenance.created,
    )
