"""Who may ask."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onspec.domain import UsageError
from onspec.service.tokens import SHORTEST, Tokens, require_tokens

TOKEN = "correct-horse-battery"
HASHED = "sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest()


@pytest.mark.parametrize("stored", [TOKEN, HASHED])
def test_a_token_opens_in_the_clear_and_hashed(stored: str) -> None:
    tokens = Tokens(["another-token-of-the-plant", stored])
    assert tokens.caller(f"Bearer {TOKEN}") is not None
    assert tokens.caller(f"bearer {TOKEN}") is not None


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {HASHED}", "Bearer ÿ\udc80"],
)
def test_nothing_else_does(header: str | None) -> None:
    assert Tokens([TOKEN]).caller(header) is None


@given(st.text())
def test_no_guess_does(guess: str) -> None:
    assert Tokens([TOKEN]).caller(f"Bearer {guess}") is None or guess.strip() == TOKEN


def test_without_tokens_nobody_is_asked_for_one() -> None:
    assert not Tokens()


def test_tokens_are_not_kept_in_the_clear() -> None:
    assert TOKEN not in repr(vars(Tokens([TOKEN])))


@pytest.mark.parametrize(
    "token", ["short", "x" * (SHORTEST - 1), "ü" * SHORTEST, "sha256:" + "0" * 63, "sha256:" + "G" * 64]
)
def test_a_token_that_protects_nothing_is_refused(token: str) -> None:
    with pytest.raises(UsageError, match="make"):
        Tokens([token])


def test_a_file_has_comments_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    path.write_text(f"# station 3\n\n{TOKEN}  # the line's controller\n")
    assert Tokens.read(path, {}).caller(f"Bearer {TOKEN}") is not None


def test_the_environment_is_read_without_a_file() -> None:
    tokens = Tokens.read(None, {"ONSPEC_TOKENS": f" another-token-of-the-plant,\n{TOKEN}\n"})
    assert tokens.caller(f"Bearer {TOKEN}") is not None
    assert not Tokens.read(None, {})
    assert not Tokens.read(None, {"ONSPEC_TOKENS": " , "})


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n", b"\xff\xfe"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="tokens"):
        Tokens.read(path, {"ONSPEC_TOKENS": TOKEN})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        Tokens.read(tmp_path / "absent", {})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    require_tokens(host, Tokens())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "station-3", "127.0.0.1.example"])
def test_any_other_address_does(host: str) -> None:
    require_tokens(host, Tokens([TOKEN]))
    with pytest.raises(UsageError, match="--token-file"):
        require_tokens(host, Tokens())
