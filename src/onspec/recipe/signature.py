"""Ed25519 signatures (RFC 8032) over SHA256SUMS, and the keys for them.

Checksums alone stop accidents: whoever changes a member can write new sums. Only a signature, checked against a public
key that came another way, says who packed the recipe.
"""

import base64
import binascii
from pathlib import Path
from typing import TYPE_CHECKING

from onspec.domain import IntegrityError, MissingExtraError, UsageError
from onspec.imaging.writing import write_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_LENGTH = 64


def make_keys(private: Path, public: Path) -> None:
    """Write a new pair of keys as PEM; the private one readable by its owner only. Nothing is overwritten.

    Raises:
        UsageError: one of the files exists or cannot be written.
        MissingExtraError: without the extra `sign`.
    """
    _need_cryptography()
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    for path in (private, public):
        if path.exists():
            raise UsageError(f"{path} exists; choose another name: a lost private key cannot be made again")
    key = Ed25519PrivateKey.generate()
    plain = pem.NoEncryption()
    write_bytes(private, key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, plain), mode=0o600)
    write_bytes(public, key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo))


def sign(sums: bytes, private: Path) -> bytes:
    """The signature of SHA256SUMS, base64 in one line; the same for the same key and sums.

    Raises:
        UsageError: the key file is absent or not an Ed25519 private key in PEM form without a password.
        MissingExtraError: without the extra `sign`.
    """
    return base64.b64encode(_private_key(private).sign(sums)) + b"\n"


def check(sums: bytes, signature: bytes | None, public: Path, name: str) -> None:
    """Refuse a recipe that the private half of `public` did not sign.

    Raises:
        IntegrityError: not signed, or by another key, or changed since.
        UsageError: the key file is absent or not an Ed25519 public key in PEM form.
        MissingExtraError: without the extra `sign`.
    """
    key = _public_key(public)
    from cryptography.exceptions import InvalidSignature

    if signature is None:
        raise IntegrityError(f"{name}: the recipe is not signed; pack it with onspec pack --sign KEY")
    try:
        key.verify(decode(signature, name), sums)
    except InvalidSignature:
        raise IntegrityError(
            f"{name}: the signature is not by the private half of {public}; do not use this recipe, get it again "
            "from whom you trust"
        ) from None


def decode(signature: bytes, name: str) -> bytes:
    """The 64 bytes of a signature; only its one exact spelling is accepted.

    Raises:
        IntegrityError: not a signature.
    """
    try:
        raw = base64.b64decode(signature)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != _LENGTH or base64.b64encode(raw) + b"\n" != signature:
        raise IntegrityError(f"{name}: the signature is damaged; get the recipe again from its source")
    return raw


def _private_key(path: Path) -> "Ed25519PrivateKey":
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path}: not a private key in PEM form without a password ({error})") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"{path}: a {type(key).__name__}; allowed: an Ed25519 private key")
    return key


def _public_key(path: Path) -> "Ed25519PublicKey":
    _need_cryptography()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path}: not a public key in PEM form ({error})") from error
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(f"{path}: a {type(key).__name__}; allowed: an Ed25519 public key")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot read the key ({error.strerror}); check the name and the rights") from error


def _need_cryptography() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise MissingExtraError("Signing and checking signatures", "sign") from None
