"""The application on a socket, from the first log line to the last answer."""

import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from onspec.domain import UsageError
from onspec.service.patience import PatientProtocol, PatientServer
from onspec.service.tls import Tls

GRACE_S = 30
"""Seconds that requests in flight get to finish after a signal to stop."""

KEEP_ALIVE_S = 75
"""Seconds a connection stays open for the next part. Longer than most lines' pause between two parts: a request that
meets a closing connection is an error at the client."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Port 0 takes a free one.

    Raises:
        UsageError: the address is not this machine's, or taken, or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # asyncio sends without delay only on sockets that were made with their protocol; otherwise answers take 40 ms.
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refusal(host, port, error) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(2048)
    except OSError as error:
        sock.close()
        raise _refusal(host, port, error) from None
    return sock


def _refusal(host: str, port: int, error: OSError) -> UsageError:
    return UsageError(f"cannot listen on {host}:{port} ({error.strerror}); choose another --host or --port")


def address_of(sock: socket.socket, tls: bool = False) -> str:
    """As a user types it into a browser."""
    host, port = sock.getsockname()[:2]
    scheme = "https" if tls else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def serve(app: FastAPI, sock: socket.socket, tls: Tls | None = None) -> None:
    """Answer with what `create_app` made until SIGINT or SIGTERM, then finish what is in flight and return."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        http=PatientProtocol,
        ws="none",
        proxy_headers=False,  # who asks is who is connected; a header can be made up
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    config.load()
    if tls is not None:
        config.ssl = tls.context()
    server = PatientServer(config)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        """Also swallows the signal that uvicorn raises once more at its end: a stop on request is no failure."""
        app.state.events.close()  # a stream never ends by itself, and the end waits for requests in flight
        server.should_exit = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run(sockets=[sock])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        sock.close()
