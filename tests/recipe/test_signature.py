"""Signatures: only the one key, only the one content."""

import stat
from pathlib import Path

import pytest

from onspec.domain import IntegrityError, MissingExtraError, UsageError
from onspec.recipe import archive, signature
from onspec.recipe.reading import members_of, open_package
from onspec.recipe.signature import make_keys
from onspec.recipe.writing import pack

pytest.importorskip("cryptography", reason="the extra 'sign' is not installed")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key."""
    pair = (tmp_path / "plant.pem", tmp_path / "plant.pub.pem")
    make_keys(*pair)
    return pair


@pytest.fixture
def signed(keys: tuple[Path, Path], tiny_recipe_path: Path) -> Path:
    """The tiny recipe, signed."""
    pack(open_package(tiny_recipe_path), tiny_recipe_path, signing_key=keys[0])
    return tiny_recipe_path


def test_a_signed_recipe_opens_with_its_key_and_without(signed: Path, keys: tuple[Path, Path]) -> None:
    assert open_package(signed, public_key=keys[1]).signed
    assert open_package(signed).signed


def test_signing_is_reproducible(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    pack(open_package(signed), tmp_path / "again.onspec", signing_key=keys[0])
    assert (tmp_path / "again.onspec").read_bytes() == signed.read_bytes()


def test_another_key_is_refused(signed: Path, tmp_path: Path) -> None:
    make_keys(tmp_path / "b.pem", tmp_path / "b.pub.pem")
    with pytest.raises(IntegrityError, match="not by the private half of"):
        open_package(signed, public_key=tmp_path / "b.pub.pem")


def test_new_checksums_do_not_help_whoever_has_no_key(signed: Path, keys: tuple[Path, Path]) -> None:
    package = open_package(signed)
    members = {**members_of(package), archive.MODEL: b"another network"}
    stolen = archive.take_apart(signed.read_bytes(), "")[archive.SIGNATURE]
    signed.write_bytes(archive.build({**members, archive.SIGNATURE: stolen}))
    assert open_package(signed).model == b"another network"  # checksums alone are no proof
    with pytest.raises(IntegrityError, match="not by the private half of"):
        open_package(signed, public_key=keys[1])


def test_an_unsigned_recipe_is_refused_where_a_key_is_given(tiny_recipe_path: Path, keys: tuple[Path, Path]) -> None:
    with pytest.raises(IntegrityError, match="not signed"):
        open_package(tiny_recipe_path, public_key=keys[1])


def test_a_draft_is_refused_where_a_key_is_given(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    with pytest.raises(IntegrityError, match="never signed"):
        open_package(tmp_path, public_key=keys[1])


@pytest.mark.parametrize(
    "text", [b"", b"hello\n", b"A" * 88, b"A" * 86 + b"==", b"A" * 86 + b"==\n\n", b"A" * 85 + b"B==\n"]
)
def test_a_signature_has_one_spelling(text: bytes) -> None:
    signature.decode(b"A" * 86 + b"==\n", "ok")
    with pytest.raises(IntegrityError, match="damaged"):
        signature.decode(text, "x")


def test_the_private_key_is_the_owners_and_never_overwritten(keys: tuple[Path, Path]) -> None:
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="exists"):
        make_keys(keys[0], keys[1].with_name("new.pem"))


@pytest.mark.parametrize(
    "content", [None, b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key(content: bytes | None, tmp_path: Path, tiny_recipe_path: Path) -> None:
    key = tmp_path / "key.pem"
    if content is not None:
        key.write_bytes(content)
    with pytest.raises(UsageError, match=r"key\.pem"):
        pack(open_package(tiny_recipe_path), tmp_path / "x.onspec", signing_key=key)
    with pytest.raises(UsageError, match=r"key\.pem"):
        open_package(tiny_recipe_path, public_key=key)


def test_a_key_of_another_kind(tmp_path: Path, tiny_recipe_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    key = generate_private_key(SECP256R1())
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    (tmp_path / "ec.pem").write_bytes(private)
    with pytest.raises(UsageError, match="allowed: an Ed25519 private key"):
        pack(open_package(tiny_recipe_path), tmp_path / "x.onspec", signing_key=tmp_path / "ec.pem")
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "ec.pub.pem").write_bytes(public)
    with pytest.raises(UsageError, match="allowed: an Ed25519 public key"):
        open_package(tiny_recipe_path, public_key=tmp_path / "ec.pub.pem")


def test_without_the_extra_the_install_line_is_said(
    monkeypatch: pytest.MonkeyPatch, tiny_recipe_path: Path, keys: tuple[Path, Path]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'onspec\[sign\]'"):
        open_package(tiny_recipe_path, public_key=keys[1])
