"""A recipe with its known results, loaded, and images for it."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from numpy.typing import NDArray

from onspec.imaging.writing import encode_image
from onspec.recipe.package import Package
from onspec.recipe.reading import open_package
from onspec.runtime.inspector import Inspector
from onspec.service.app import create_app
from onspec.service.server import address_of, listen


@pytest.fixture
def tiny(tiny_recipe_path: Path) -> Iterator[Inspector]:
    """The tiny recipe on ONNX Runtime."""
    inspector = Inspector(open_package(tiny_recipe_path), threads=1)
    yield inspector
    inspector.close()


@pytest.fixture
def other(tiny: Inspector) -> Iterator[Inspector]:
    """The same under another name."""
    package: Package = replace(tiny.package, recipe=tiny.recipe.model_copy(update={"name": "other"}), digest="ab" * 32)
    inspector = Inspector(package, threads=1)
    yield inspector
    inspector.close()


@pytest.fixture
def good(make_part: Callable[..., NDArray[Any]]) -> bytes:
    """The PNG of a good part."""
    return encode_image(make_part())


@pytest.fixture
def defective(make_part: Callable[..., NDArray[Any]]) -> bytes:
    """The PNG of a part with a spot."""
    return encode_image(make_part((30, 20, 10, 6)))


Served = Callable[..., AbstractContextManager[httpx.Client]]


@contextmanager
def _served(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of the application on a real socket, from its start to its end."""
    config = uvicorn.Config(app, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with listen("127.0.0.1", 0) as sock:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            with httpx.Client(base_url=address_of(sock), timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


@contextmanager
def _running(*inspectors: Inspector, **options: object) -> Iterator[httpx.Client]:
    """The application from its start to its end; waits until every recipe was checked."""
    with _served(create_app(inspectors, **cast("Any", options))) as client:
        for _ in range(400):
            if "still being checked" not in client.get("/v2/health/ready").text:
                break
            time.sleep(0.02)
        yield client


@pytest.fixture
def served() -> Served:
    """`_served`."""
    return _served


@pytest.fixture
def running() -> Served:
    """`_running`, which takes inspectors and the options of `create_app`."""
    return _running
