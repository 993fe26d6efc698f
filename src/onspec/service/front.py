"""The door to the API: gives each request its id, each answer its security headers, and counts both."""

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onspec.service.asking import identify
from onspec.service.audit import changes
from onspec.service.gate import TokenGate, text_of
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

Endpoint = Callable[[Request], Awaitable[Response]]
"""Answers a request, or raises `ProblemError`."""

Direct = Mapping[tuple[str, str], Endpoint]
"""Method and path → what answers it without a way through the framework, which takes as long as a small image."""


class FrontDoor:
    """The outermost of the application: looks at the head of a request once, and lets it in where it belongs."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, gate: TokenGate, direct: Direct | None = None, tls: bool = False
    ) -> None:
        """`direct` are endpoints that the application behind has, too, and describes. They change nothing."""
        self._app = app
        self._metrics = metrics
        self._gate = gate
        self._direct = dict(direct or {})
        if audited := [path for method, path in self._direct if changes(method, path)]:
            raise AssertionError(f"{audited[0]} changes something, so it must pass the audit log")
        self._headers = (*SECURITY, HSTS) if tls else SECURITY
        self._names = frozenset(name for name, _ in self._headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on with an id. There is no other way in: what is neither HTTP nor the start is not answered."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        head = dict[bytes, bytes](scope["headers"])
        known = identify(text_of(head, b"x-request-id"), text_of(head, b"traceparent")).encode()
        start, status, started = perf_counter(), 500, False
        method, path = scope["method"], scope["path"]

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                headers = list(message.get("headers", ()))
                own = self._names.intersection([name for name, _ in headers])
                headers += [header for header in self._headers if header[0] not in own] if own else self._headers
                headers.append((b"x-request-id", known))
                message = {**message, "headers": headers}
            await send(message)

        route: str | None = None
        try:
            if len(head) < len(scope["headers"]):
                require_single(scope["headers"])
            self._gate.admit(scope, head)
            endpoint = self._direct.get((method, path))
            if endpoint is None:
                await self._app(scope, receive, answer)
            else:
                route = path
                response = await endpoint(Request(scope, receive))
                await response(scope, receive, answer)
        except ProblemError as problem:
            await problem.response()(scope, receive, answer)
        except ClientDisconnect:  # in the middle of its body: nobody is there to answer, and nothing was judged
            status = 499
        except Exception as error:  # the framework answers these outside, where no header would be added
            if started:
                raise
            await fault_response(path, error)(scope, receive, answer)
        finally:
            found = route or str(getattr(scope.get("route"), "path", "other"))
            self._metrics.answered(found, method, status, perf_counter() - start)
