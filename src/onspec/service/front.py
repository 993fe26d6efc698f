"""The door to the API: gives each request its id, each answer its security headers, and counts both."""

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onspec.service.asking import identify
from onspec.service.limits import require_single
from onspec.service.metrics import Metrics
from onspec.service.problems import ProblemError, fault_response

SECURITY: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
"""Of every answer that does not set its own."""

HSTS = (b"strict-transport-security", b"max-age=31536000")
"""With TLS: a browser that was here once asks for nothing else for a year."""


class FrontDoor:
    """The outermost of the application."""

    def __init__(self, app: ASGIApp, metrics: Metrics, tls: bool = False) -> None:
        self._app = app
        self._metrics = metrics
        self._headers = (*SECURITY, HSTS) if tls else SECURITY
        self._names = frozenset(name for name, _ in self._headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with an id. There is no other way in: what is neither HTTP nor the start is not answered."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        given = parent = None
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                given = value.decode("latin-1")
            elif name == b"traceparent":
                parent = value.decode("latin-1")
        known = identify(given, parent).encode()
        start, status, started = perf_counter(), 500, False

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = list(message.get("headers", ()))
                own = self._names.intersection(name for name, _ in headers)
                headers.extend(header for header in self._headers if header[0] not in own)
                headers.append((b"x-request-id", known))
                message = {**message, "headers": headers}
            await send(message)

        try:
            require_single(scope["headers"])
            await self._app(scope, receive, answer)
        except ProblemError as problem:
            await problem.response()(scope, receive, answer)
        except Exception as error:  # the framework answers these outside, where no header would be added
            if started:
                raise
            await fault_response(scope["path"], error)(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.answered(route, scope["method"], status, perf_counter() - start)
