"""Head and body of an answer in one packet, and nothing lost, late or in another order."""

import asyncio
import socket
import threading
import time
from typing import cast

import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from onspec.runtime.inspector import Inspector
from onspec.service.app import create_app
from onspec.service.patience import PatientProtocol, PatientServer
from onspec.service.sending import Joining
from onspec.service.server import listen

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
PIECES = (HEAD, b"HTTP/1.1 100 Continue\r\n\r\n", b"", b"body", bytes(70_000), b"HTTP/1.1 ")


class Sent:
    """A transport's end that keeps what is written to it."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.pieces.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@given(st.lists(st.sampled_from(PIECES) | st.none()), st.booleans())
def test_everything_is_sent_in_order(written: list[bytes | None], closes: bool) -> None:
    """`None` is a turn of the event loop, after which nothing is kept any more."""
    sent = Sent()

    async def write() -> None:
        joining = Joining(cast("asyncio.Transport", sent))
        so_far = b""
        for piece in written:
            if piece is None:
                await asyncio.sleep(0)
                assert b"".join(sent.pieces) == so_far
            else:
                joining.write(piece)
                so_far += piece
        if closes:
            joining.close()
        else:
            await asyncio.sleep(0)
        assert b"".join(sent.pieces) == so_far
        assert joining.closed == closes  # what it does not know itself is the transport's

    asyncio.run(write())


def test_a_client_that_is_gone_hears_nothing_and_breaks_nothing() -> None:
    async def write() -> None:
        sent = Sent()
        joining = Joining(cast("asyncio.Transport", sent))
        joining.write(HEAD)
        sent.close()
        await asyncio.sleep(0)
        assert sent.pieces == []

    asyncio.run(write())


def test_an_answer_is_one_packet(tiny: Inspector, good: bytes) -> None:
    config = uvicorn.Config(create_app([tiny]), log_config=None, access_log=False, http=PatientProtocol)
    server = PatientServer(config)
    request = b"POST /api/inspect HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(good)
    with listen("127.0.0.1", 0) as sock:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            with socket.create_connection(sock.getsockname()[:2], timeout=30) as client:
                for _ in range(600):  # until the recipe was checked
                    client.sendall(request + good)
                    if b" 200 " in client.recv(65_536)[:20]:
                        break
                    time.sleep(0.05)
                for _ in range(5):
                    client.sendall(request + good)
                    heard = client.recv(65_536)
                    head, _, body = heard.partition(b"\r\n\r\n")
                    assert f"content-length: {len(body)}".encode() in head
                    assert b'"verdict":"OK"' in body
        finally:
            server.should_exit = True
            thread.join(30)
