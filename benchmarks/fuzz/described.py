"""Schemathesis over the service's OpenAPI: what is described is what is answered, whatever is asked."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import schemathesis
from benchmarks.fuzz.serving import Server
from benchmarks.fuzz.tally import Requests
from schemathesis import Case, GenerationMode, HookContext
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.schemas import BaseSchema

SECONDS = 5.0
"""A request that takes longer is a fault."""

_UNLOADED = "^/api/recipes"
_ENDLESS = "/api/events"
"""A stream that never ends by itself."""


def try_described(server: Server, examples: int, seed: int, images: Sequence[bytes], out: Path) -> list[Requests]:
    """`examples` of each operation and kind of data, right and wrong, besides those that cover each border.

    First without what unloads the recipe, so that there is something to ask for; then only that.
    """
    loaded = _schema(server, examples, seed, images).exclude(path=_ENDLESS)
    loaded = loaded.exclude(method="DELETE", path_regex=_UNLOADED)
    unloading = _schema(server, examples, seed, images).include(method="DELETE", path_regex=_UNLOADED)
    return [
        _run(loaded, "described", out),
        _run(unloading, "described, unloading", out),
    ]


def _schema(server: Server, examples: int, seed: int, images: Sequence[bytes]) -> BaseSchema:
    config = SchemathesisConfig.from_dict(_settings(examples, seed, server.headers))
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json", config=config, headers=server.headers)

    @schema.hook
    def map_case(_: HookContext, case: Case[Any]) -> Case[Any]:
        """An image file is what no schema describes: every other right body is one, whole or damaged."""
        right = case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE
        if right and case.path == "/api/inspect" and isinstance(case.body, bytes):
            choice = zlib.crc32(case.body) % (2 * len(images))
            case.body = images[choice] if choice < len(images) else case.body
        return case

    return schema


def _settings(examples: int, seed: int, headers: dict[str, str]) -> dict[str, Any]:
    """All checks but one: that data are taken which fit the schema. No schema says what a readable image is.

    501 (a package is missing), 503 (try again later) and 504 (the deadline that was asked for has passed) are answers
    of the API.
    """
    return {
        "seed": seed,
        "continue-on-failure": True,
        "request-timeout": SECONDS,
        "headers": headers,
        "checks": {
            "positive_data_acceptance": {"enabled": False},
            "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "501", "503", "504"]},
            "max_response_time": SECONDS,
        },
        "generation": {"max-examples": examples, "no-shrink": True},
        "phases": {"stateful": {"enabled": False}},
    }


def _run(schema: BaseSchema, name: str, out: Path) -> Requests:
    tally = Requests(name)
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _add(tally, event.recorder, out)
        elif isinstance(event, events.NonFatalError):
            tally.fault(f"{event.label}: {event.value!r}", out)
        elif isinstance(event, events.FatalError):
            raise event.exception
    return tally


def _add(tally: Requests, recorder: ScenarioRecorder, out: Path) -> None:
    for interaction in recorder.interactions.values():
        answer = interaction.response
        tally.add(None if answer is None else answer.status_code, 0.0 if answer is None else 1000 * answer.elapsed)
    for nodes in recorder.checks.values():
        for node in nodes:
            if node.status == Status.FAILURE and node.failure_info is not None:
                failure = node.failure_info.failure
                tally.fault(
                    f"{recorder.label}: {failure.title}: {failure.message}\n{node.failure_info.code_sample}", out
                )
