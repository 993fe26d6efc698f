"""The certificate and key that the service shows, and what it accepts with them."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from onspec.domain import UsageError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: with forward secrecy and authentication; those of 1.3 all have them."""


@dataclass(frozen=True, slots=True)
class Tls:
    """Two PEM files that belong together: the certificate with its chain, and its private key without a password."""

    certificate: Path
    key: Path

    def __post_init__(self) -> None:
        """Raises UsageError if they cannot be used."""
        self.context()

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or 1.3."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"--tls-cert {self.certificate} and --tls-key {self.key}: cannot be used ({error.strerror or error}); "
                "give the certificate (chain) and its private key as PEM files without a password"
            ) from None
        return context


def _no_password() -> bytes:
    """Otherwise OpenSSL asks the terminal, and the server waits there."""
    return b""
