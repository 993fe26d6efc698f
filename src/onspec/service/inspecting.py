"""`POST /api/inspect`: images in, verdicts with their reasons out."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response

from onspec import __version__
from onspec.domain import Inspection
from onspec.runtime.inspector import Result
from onspec.service.body import Upload, is_form, read_uploads
from onspec.service.front import Endpoint
from onspec.service.judging import Judging, require_judged
from onspec.service.pictures import NO_PICTURES, Wanted, add_pictures, picture_type
from onspec.service.problems import Problem, ProblemError
from onspec.service.recipes import Recipes

PATH = "/api/inspect"
DEADLINE_HEADER = "onspec-deadline-ms"
LONGEST_PART_ID = 200

T = TypeVar("T")

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
    "record": "01939c3e-5d1a-7c3f-9a52-6f0b1f8e2d41",
}  # fmt: skip

_ERROR_EXAMPLE = {
    **EXAMPLE, "image": "b.png", "part_id": "18", "verdict": "ERROR", "score": None, "class_scores": {}, "reasons": [],
    "defects": [], "size": None, "ms": {"read": 0.1},
    "error": "b.png: truncated or corrupt image (it ends too early); copy it again from its source",
    "record": "01939c3e-5d1c-7a88-b1d0-2c7e4f60a913",
}  # fmt: skip

_IMAGE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FORM: dict[str, Any] = {
    "schema": {
        "type": "object",
        "required": ["image"],
        "properties": {"image": {"type": "array", "items": _IMAGE["schema"], "minItems": 1}},
    }
}
_BODY = {
    "description": "The image file as it is (PNG, JPEG, TIFF, BMP, JPEG 2000, PGM), or a form with files.",
    "required": True,
    "content": {"image/*": _IMAGE, "application/octet-stream": _IMAGE, "multipart/form-data": _FORM},
}


def _parameter(name: str, schema: dict[str, Any], description: str, where: str = "query") -> dict[str, Any]:
    return {"name": name, "in": where, "required": False, "schema": schema, "description": description}


_PICTURE = {"type": "string", "enum": ["png", "jpeg"]}
_TIME = {"type": "number", "exclusiveMinimum": 0}
_PARAMETERS = [
    _parameter("recipe", {"type": "string"}, "NAME or NAME@sha256:HEX; needed if several are loaded"),
    _parameter(
        "part_id",
        {"type": "array", "items": {"type": "string", "maxLength": LONGEST_PART_ID}},
        "comes back in the answer; for several images one each, in their order",
    ),
    _parameter("overlay", _PICTURE, "add the image with its defects outlined, as a data URL"),
    _parameter("maps", _PICTURE, "add each class's score map: 16-bit PNG (65535 = 1) or 8-bit JPEG, as data URLs"),
    _parameter("batch", {"type": "boolean"}, "answer a list for a form with one file, too"),
    _parameter("deadline_ms", _TIME, "from arrival to verdict; afterwards the answer is 504 and no verdict"),
    _parameter("Onspec-Deadline-Ms", _TIME, "the same as a header", "header"),
]
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Inspection | list[Inspection],
        "description": "The image was judged: OK, NG or REVIEW. For several images a list, where one may be ERROR.",
        "content": {
            "application/json": {
                "examples": {
                    "one image": {"value": EXAMPLE},
                    "several images": {"value": [EXAMPLE, _ERROR_EXAMPLE]},
                },
            }
        },
    },
    400: {"model": Problem, "description": "No image in the request, or the recipe must be named."},
    404: {"model": Problem, "description": "No such recipe or version."},
    413: {"model": Problem, "description": "The body is too large."},
    422: {
        "model": Problem,
        "description": "The image cannot be judged (unreadable, unexpected), or a parameter is wrong.",
    },
    500: {"model": Problem, "description": "The engine failed. Nothing was judged."},
    503: {
        "model": Problem,
        "description": "The queue is full, the recipe may not judge, or no record could be kept. No verdict.",
        "headers": {"Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer"}}},
    },
    504: {"model": Problem, "description": "The deadline passed. No verdict is given."},
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the query and headers of a request ask for."""

    recipe: str | None = None
    part_ids: tuple[str, ...] = ()
    wanted: Wanted = NO_PICTURES
    batch: bool = False
    deadline_ms: float | None = None

    @classmethod
    def of(cls, request: Request) -> "Asked":
        """Raises ProblemError 422 for a value that cannot be."""
        query = request.query_params
        part_ids = tuple(query.getlist("part_id"))
        if any(len(part_id) > LONGEST_PART_ID for part_id in part_ids):
            raise ProblemError(422, f"part_id: has at most {LONGEST_PART_ID} characters")
        wanted = [_parsed(name, query.get(name), picture_type) for name in ("overlay", "maps")]
        return cls(
            query.get("recipe"),
            part_ids,
            Wanted(*wanted),
            bool(_parsed("batch", query.get("batch"), _flag)),
            read_deadline(query.get("deadline_ms", request.headers.get(DEADLINE_HEADER))),
        )


def read_deadline(text: str | None) -> float | None:
    """Milliseconds; raises ProblemError 422 for what is no time."""
    return _parsed("deadline_ms", text, _milliseconds)


def endpoint(recipes: Recipes, judging: Judging, max_bytes: int) -> Endpoint:
    """What judges. It reads its query itself: FastAPI's own reading would take as long as judging a small image."""

    async def inspect(request: Request) -> Response:
        asked = Asked.of(request) if request.scope["query_string"] or DEADLINE_HEADER in request.headers else _NOTHING
        version = recipes.find(asked.recipe)
        judging.require_place(version)
        uploads = await read_uploads(request, max_bytes)
        if len(uploads) == 1 and not asked.batch:
            _require_ids(asked, uploads)
            part_id = asked.part_ids[0] if asked.part_ids else None
            result = await judging.judge(version, _filled(uploads[0]), part_id, asked.deadline_ms)
            require_judged(result)
            return _answer(await _text(result, asked.wanted))
        if not is_form(request):
            raise ProblemError(400, "a batch is a multipart form; send it with: curl -F image=@a.png -F image=@b.png")
        _require_ids(asked, uploads)
        part_ids: list[str | None] = [*asked.part_ids] or [None] * len(uploads)
        texts = await judging.judge_many(
            version, list(uploads), part_ids, asked.deadline_ms, told=lambda result: _text(result, asked.wanted)
        )
        return _answer(f"[{','.join(texts)}]")

    return inspect


def router(recipes: Recipes, inspect: Endpoint) -> APIRouter:
    """The endpoint that judges, and the one that says what runs here."""
    routes = APIRouter()
    extra = {"requestBody": _BODY, "parameters": _PARAMETERS}
    routes.post(PATH, responses=_ANSWERS, openapi_extra=extra, summary="Judge an image, or several")(inspect)

    @routes.get("/", summary="What runs here")
    async def index() -> dict[str, Any]:
        return {"name": "onspec", "version": __version__, "recipes": recipes.identities, "api": "/openapi.json"}

    return routes


_NOTHING = Asked()


def _require_ids(asked: Asked, uploads: list[Upload]) -> None:
    if asked.part_ids and len(asked.part_ids) != len(uploads):
        raise ProblemError(
            422, f"part_id: {len(asked.part_ids)} given for {len(uploads)} images; give one for each, in their order"
        )


def _filled(upload: Upload) -> Upload:
    if not upload.data:
        raise ProblemError(400, "the request holds no image (0 bytes); send the image file as the body")
    return upload


def _answer(text: str) -> Response:
    return Response(text, media_type="application/json")


async def _text(result: Result, wanted: Wanted) -> str:
    if not wanted:
        return result.inspection.to_json()
    return await asyncio.to_thread(add_pictures, result, wanted)


def _parsed(name: str, text: str | None, parse: Callable[[str], T]) -> T | None:
    try:
        return None if text is None else parse(text)
    except ValueError as error:
        raise ProblemError(422, f"{name}: {error}") from None


def _milliseconds(text: str) -> float:
    value = float(text)
    if not (0 < value < math.inf):
        raise ValueError(f"must be a time over 0 in ms; got {text!r}")
    return value


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(f"must be true or false; got {text!r}")
    return text.lower() in ("true", "1")
