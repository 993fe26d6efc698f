"""The socket that the service listens on."""

import socket

import pytest

from onspec.domain import UsageError
from onspec.service.server import address_of, listen


def test_port_0_takes_a_free_one_and_says_which() -> None:
    with listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        assert port > 0
        assert address_of(sock) == f"http://127.0.0.1:{port}"


def test_a_taken_port_is_a_sentence() -> None:
    with listen("127.0.0.1", 0) as sock, pytest.raises(UsageError, match="choose another"):
        listen("127.0.0.1", sock.getsockname()[1])


def test_an_address_of_another_machine_is_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"cannot listen on 203\.0\.113\.7"):
        listen("203.0.113.7", 0)


def test_answers_are_sent_without_delay() -> None:
    with listen("127.0.0.1", 0) as sock:
        assert sock.proto == socket.IPPROTO_TCP  # what asyncio looks at
