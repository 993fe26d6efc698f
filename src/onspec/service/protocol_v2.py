"""The Open Inference Protocol v2 over HTTP: health, metadata and inference. A recipe is a model, its sha256 a version.

https://github.com/kserve/open-inference-protocol
"""

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from onspec import __version__
from onspec.service import infer_body, tensors
from onspec.service.body import read_body
from onspec.service.judging import Judging, require_judged
from onspec.service.problems import Problem
from onspec.service.recipes import Recipes

EXTENSIONS = ["binary_tensor_data", "model_configuration"]

_NOT_READY: dict[int | str, dict[str, Any]] = {
    503: {"model": Problem, "description": "Golden samples not judged yet, or judged otherwise than expected."}
}
_UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "No such recipe or version."},
    422: {"model": Problem, "description": "A parameter of the path is not valid."},
}
_INFER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The image was judged: OK, NG or REVIEW.",
        "content": {
            "application/json": {
                "example": {
                    "model_name": "tile",
                    "model_version": "0" * 64,
                    "id": "42",
                    "parameters": {"record": "01939c3e-5d1a-7c3f-9a52-6f0b1f8e2d41"},
                    "outputs": [
                        {"name": "verdict", "datatype": "BYTES", "shape": [1], "data": ["NG"]},
                        {"name": "score", "datatype": "FP32", "shape": [1], "data": [0.97]},
                    ],
                }
            },
            "application/octet-stream": {},
        },
    },
    400: {"model": Problem, "description": "Not a request of the protocol, or not of this model's inputs and outputs."},
    404: {"model": Problem, "description": "No such recipe or version."},
    413: {"model": Problem, "description": "The body is too large."},
    415: {"model": Problem, "description": "A content coding that is not understood."},
    422: {"model": Problem, "description": "The image cannot be judged: unreadable, or not as the recipe expects."},
    500: {"model": Problem, "description": "The engine failed. Nothing was judged."},
    503: {"model": Problem, "description": "No place in the queue, or the recipe may not judge. No verdict is given."},
    504: {"model": Problem, "description": "The deadline passed. No verdict is given."},
}
_PARAMETERS = {"type": "object", "description": "see docs/service.md", "additionalProperties": True}
_INFER_BODY = {
    "required": True,
    "description": "The protocol's JSON, or JSON and then binary tensors (with Inference-Header-Content-Length).",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": "string", "description": "comes back in the answer"},
                    "parameters": _PARAMETERS,
                    "inputs": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 1,
                        "items": {
                            "type": "object",
                            "required": ["name", "datatype", "shape"],
                            "properties": {
                                "name": {"type": "string", "enum": [tensors.INPUT]},
                                "datatype": {"type": "string", "enum": ["UINT8", "UINT16", "BYTES"]},
                                "shape": {"type": "array", "items": {"type": "integer"}, "maxItems": 8},
                                "parameters": _PARAMETERS,
                                "data": {"type": "array", "items": {}},
                            },
                        },
                    },
                    "outputs": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {
                                "name": {"type": "string", "enum": [*tensors.OUTPUTS]},
                                "parameters": _PARAMETERS,
                            },
                        },
                    },
                },
            },
            "example": {
                "id": "42",
                "parameters": {"part_id": "17"},
                "inputs": [{"name": "image", "datatype": "UINT8", "shape": [2, 3], "data": [7, 9, 8, 7, 8, 9]}],
                "outputs": [{"name": "verdict"}, {"name": "score"}],
            },
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}


def router(recipes: Recipes, judging: Judging, max_bytes: int) -> APIRouter:
    """`/v2…`."""
    routes = APIRouter(prefix="/v2", tags=["Open Inference Protocol v2"])

    @routes.get("", summary="The server")
    async def server() -> dict[str, Any]:
        return {"name": "onspec", "version": __version__, "extensions": EXTENSIONS}

    @routes.get("/health/live", summary="Whether the server answers")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @routes.get("/health/ready", summary="Whether all golden samples passed", responses=_NOT_READY)
    async def ready() -> dict[str, bool]:
        recipes.require_all_ready()
        return {"ready": True}

    @routes.post("/repository/index", summary="All recipes and versions, and whether they may judge")
    async def index() -> list[dict[str, str]]:
        return repository_index(recipes)

    @routes.get("/models/{recipe}", summary="A recipe", responses=_UNKNOWN)
    @routes.get("/models/{recipe}/versions/{version}", summary="A recipe's version", responses=_UNKNOWN)
    async def model(recipe: str, version: str | None = None) -> dict[str, Any]:
        found = recipes.find(recipe, version)
        return tensors.metadata(found.inspector, [v.digest for v in recipes.versions(found.name)])

    @routes.get("/models/{recipe}/config", summary="As Triton's clients ask for it", responses=_UNKNOWN)
    @routes.get("/models/{recipe}/versions/{version}/config", summary="The same of a version", responses=_UNKNOWN)
    async def config(recipe: str, version: str | None = None) -> dict[str, Any]:
        found = recipes.find(recipe, version)
        return tensors.config(found.inspector, [v.digest for v in recipes.versions(found.name)])

    @routes.get("/models/{recipe}/ready", summary="Whether a recipe may judge", responses=_UNKNOWN | _NOT_READY)
    @routes.get(
        "/models/{recipe}/versions/{version}/ready",
        summary="Whether a recipe's version may judge",
        responses=_UNKNOWN | _NOT_READY,
    )
    async def model_ready(recipe: str, version: str | None = None) -> dict[str, Any]:
        found = recipes.find(recipe, version)
        found.require_ready()
        return {"name": found.name, "ready": True}

    @routes.post(
        "/models/{recipe}/infer", summary="Judge an image", responses=_INFER, openapi_extra={"requestBody": _INFER_BODY}
    )
    @routes.post(
        "/models/{recipe}/versions/{version}/infer",
        summary="Judge an image with a version",
        responses=_INFER,
        openapi_extra={"requestBody": _INFER_BODY},
    )
    async def infer(request: Request, recipe: str, version: str | None = None) -> Response:
        found = recipes.find(recipe, version)
        judging.require_place(found)
        raw = await read_body(request, max_bytes)
        coding, length = (request.headers.get(name) for name in ("content-encoding", infer_body.LENGTH_HEADER))
        asked = await asyncio.to_thread(lambda: infer_body.parse(infer_body.unpacked(raw, coding, max_bytes), length))
        picture = tensors.picture_of(asked.inputs)
        result = await judging.judge(found, picture, asked.asked.part_id, asked.asked.deadline_ms)
        require_judged(result)

        def answer() -> tuple[bytes, dict[str, str]]:
            outputs = tensors.outputs_of(result, asked.outputs)
            made = infer_body.answer(found.name, found.digest, asked, outputs, result.inspection.record)
            return infer_body.packed(*made, request.headers.get("accept-encoding"))

        body, headers = await asyncio.to_thread(answer)
        return Response(body, headers=headers)

    return routes


def repository_index(recipes: Recipes) -> list[dict[str, str]]:
    """Every loaded version with Triton's words for its condition."""
    return [
        {
            "name": name,
            "version": version.digest,
            "state": "LOADING" if version.deviations is None else "UNAVAILABLE" if version.fault else "READY",
            "reason": version.fault or "",
        }
        for name in recipes.all_names()
        for version in recipes.versions(name)
    ]
