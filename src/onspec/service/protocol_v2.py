"""The Open Inference Protocol v2, as far as it is about servers and models: health and metadata.

https://github.com/kserve/open-inference-protocol
"""

from typing import Any

from fastapi import APIRouter

from onspec import __version__
from onspec.imaging.preparation import Extent
from onspec.runtime.inspector import Inspector
from onspec.service.problems import Problem, ProblemError
from onspec.service.recipes import Recipes

_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": Problem, "description": "Golden samples not judged yet, or judged otherwise than expected."}
}
_UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "No such recipe or version."},
    422: {"model": Problem, "description": "A parameter of the path is not valid."},
}


def router(recipes: Recipes) -> APIRouter:
    """`/v2…`: a recipe is a model, its package's sha256 is its version."""
    routes = APIRouter(prefix="/v2")

    @routes.get("", summary="The server")
    async def server() -> dict[str, Any]:
        return {"name": "onspec", "version": __version__, "extensions": []}

    @routes.get("/health/live", summary="Whether the server answers")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/health/ready", summary="Whether all golden samples passed", responses=_NOT_READY)
    async def ready() -> dict[str, bool]:
        recipes.require_all_ready()
        return {"ready": True}

    @routes.get("/models/{recipe}", summary="A recipe", responses=_UNKNOWN)
    @routes.get("/models/{recipe}/versions/{version}", summary="A recipe's version", responses=_UNKNOWN)
    async def model(recipe: str, version: str | None = None) -> dict[str, Any]:
        return _metadata(_find(recipes, recipe, version))

    @routes.get("/models/{recipe}/ready", summary="Whether a recipe may judge", responses=_UNKNOWN | _NOT_READY)
    @routes.get(
        "/models/{recipe}/versions/{version}/ready",
        summary="Whether a recipe's version may judge",
        responses=_UNKNOWN | _NOT_READY,
    )
    async def model_ready(recipe: str, version: str | None = None) -> dict[str, Any]:
        inspector = _find(recipes, recipe, version)
        recipes.require_ready(inspector)
        return {"name": inspector.recipe.name, "ready": True}

    return routes


def _find(recipes: Recipes, name: str, version: str | None) -> Inspector:
    inspector = recipes.find(name)
    if version not in (None, inspector.package.digest):
        raise ProblemError(404, f"recipe {name!r} has no version {version!r}; loaded: {inspector.package.digest}")
    return inspector


def _metadata(inspector: Inspector) -> dict[str, Any]:
    """The image in its original pixels goes in, the score map of each class comes out: what a recipe promises."""
    recipe = inspector.recipe
    sides = [_dimension(recipe.input.height), _dimension(recipe.input.width)]
    image = sides if recipe.input.channels == 1 else [*sides, recipe.input.channels]
    return {
        "name": recipe.name,
        "versions": [inspector.package.digest],
        "platform": f"onspec_{inspector.engine_name}",
        "inputs": [{"name": "image", "datatype": recipe.input.dtype.upper(), "shape": image}],
        "outputs": [{"name": "scores", "datatype": "FP32", "shape": [len(recipe.classes), *sides]}],
    }


def _dimension(extent: Extent) -> int:
    """A fixed size, or the protocol's −1 for one that varies."""
    return extent.min if extent.min == extent.max else -1
