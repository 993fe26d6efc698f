"""`POST /api/inspect`: an image in, a verdict with its reasons out."""

import logging
from functools import partial
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from onspec import __version__
from onspec.domain import ImageError, Inspection, Verdict
from onspec.runtime.inspector import Inspector, Result
from onspec.service.body import Upload, read_upload
from onspec.service.problems import Problem, ProblemError, busy
from onspec.service.queue import JudgeQueue, QueueFullError
from onspec.service.recipes import Recipes

logger = logging.getLogger("onspec.service")

EXAMPLE = {
    "image": "a.png", "part_id": "17", "verdict": "NG", "score": 0.97, "class_scores": {"defect": 0.97}, "class": None,
    "reasons": ["large-scratch: area_mm2 1.9 >= 1.0"],
    "defects": [{
        "class": "defect", "score": 0.97, "bbox": [210, 96, 40, 31], "centroid": [229.6, 111.2], "area_px": 812,
        "area_mm2": 1.9, "length_px": 42.0, "width_px": 5.0, "length_mm": 2.03, "width_mm": 0.24, "elongation": 8.4,
        "orientation_deg": 31.0, "polygon": [[210, 120], [249, 96], [249, 101], [212, 126]],
    }],
    "size": [512, 512], "recipe": "tile@sha256:" + "0" * 64, "engine": "onnxruntime",
    "ms": {"read": 1.9, "infer": 21.0, "decide": 0.3}, "error": None,
}  # fmt: skip

_IMAGE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FORM: dict[str, Any] = {"schema": {"type": "object", "required": ["image"], "properties": {"image": _IMAGE["schema"]}}}
_BODY = {
    "description": "The image file as it is (PNG, JPEG, TIFF, BMP, JPEG 2000, PGM), or a form with one file.",
    "required": True,
    "content": {"image/*": _IMAGE, "application/octet-stream": _IMAGE, "multipart/form-data": _FORM},
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Inspection,
        "description": "The image was judged: OK, NG or REVIEW.",
        "content": {"application/json": {"example": EXAMPLE}},
    },
    400: {"model": Problem, "description": "No image in the request, or the recipe must be named."},
    404: {"model": Problem, "description": "No such recipe."},
    413: {"model": Problem, "description": "The body is too large."},
    422: {"model": Problem, "description": "The image cannot be judged: unreadable, or not as the recipe expects."},
    500: {"model": Problem, "description": "The engine failed. Nothing was judged."},
    503: {
        "model": Problem,
        "description": "The queue is full, or the recipe may not judge (yet). Nothing was judged.",
        "headers": {"Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}}},
    },
}


def router(recipes: Recipes, queue: JudgeQueue, max_bytes: int) -> APIRouter:
    """The endpoints that judge."""
    routes = APIRouter()

    @routes.post("/api/inspect", responses=_ANSWERS, openapi_extra={"requestBody": _BODY}, summary="Judge one image")
    async def inspect(
        request: Request,
        recipe: Annotated[
            str | None, Query(description="NAME or NAME@sha256:HEX; needed if several are loaded")
        ] = None,
        part_id: Annotated[str | None, Query(max_length=200, description="comes back in the answer")] = None,
    ) -> Response:
        start = perf_counter()
        inspector = recipes.find(recipe)
        recipes.require_ready(inspector)
        if queue.full:  # before a body is read that would be refused anyway
            raise busy(f"the queue is full ({queue.limit} images waiting or in work); try again")
        upload = await read_upload(request, max_bytes)
        result = await _judge(queue, inspector, upload, part_id)
        _log(result.inspection, start)
        if result.inspection.verdict is Verdict.ERROR:
            raise ProblemError(422 if isinstance(result.cause, ImageError) else 500, str(result.inspection.error))
        return Response(result.inspection.to_json(), media_type="application/json")

    @routes.get("/", summary="What runs here")
    async def index() -> dict[str, Any]:
        return {"name": "onspec", "version": __version__, "recipes": recipes.identities, "api": "/openapi.json"}

    return routes


async def _judge(queue: JudgeQueue, inspector: Inspector, upload: Upload, part_id: str | None) -> Result:
    try:
        return await queue.run(partial(inspector.inspect_bytes, upload.data, upload.name, part_id))
    except QueueFullError as error:
        raise busy(str(error)) from error


def _log(inspection: Inspection, start: float) -> None:
    fields = inspection.model_dump(include={"image", "part_id", "verdict", "score", "recipe", "error"}, mode="json")
    fields["defects"] = len(inspection.defects)
    fields["ms"] = {stage: round(ms, 2) for stage, ms in inspection.ms.items()}
    fields["ms_total"] = round((perf_counter() - start) * 1e3, 2)
    level = logging.ERROR if inspection.verdict is Verdict.ERROR else logging.INFO
    logger.log(level, "inspected", extra={"fields": fields})
