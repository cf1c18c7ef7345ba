# -*- test-case-name: tests.real.redis.test_redis_access -*-
"""
TLS on the way to a Redis: whom to trust, and as whom to go there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint

from .address import RedisAddress


__all__ = ["Secure", "security"]

Secure = Callable[[str, IStreamClientEndpoint], IStreamClientEndpoint]
"""
Makes an endpoint that leads to a host secure.
"""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)


def security(address: RedisAddress) -> Secure:
    """
    Make the function that makes an endpoint as secure as an address asks for.

    @raise ValueError: A file that it names is of no use.
    """
    if not address.isSecure:
        return lambda host, end: end
    try:
        from twisted.internet import ssl  # noqa: PLC0415  # It needs pyOpenSSL.
    except ImportError:
        raise ValueError("rediss: needs pip install txsessionsock[tls]") from None

    def authorities(path: str) -> Any:
        found = _PEM.findall(Path(path).read_bytes())
        if not found:
            raise ValueError("there is no certificate in it")
        return ssl.trustRootFromCertificates(
            [ssl.Certificate.loadPEM(p) for p in found]
        )

    def own(path: str) -> Any:
        certificate = ssl.Certificate.loadPEM(Path(path).read_bytes())
        pem = Path(address.privateKey or "").read_bytes()
        if b"ENCRYPTED" in pem:
            # OpenSSL would ask for it on the terminal.
            raise ValueError("the private key must not have a password")
        key = ssl.KeyPair.load(pem, 1)
        return ssl.PrivateCertificate.fromCertificateAndKeyPair(certificate, key)

    trusted = _read(authorities, address.authorities) or ssl.platformTrust()
    client = _read(own, address.certificate)

    def secure(host: str, end: IStreamClientEndpoint) -> IStreamClientEndpoint:
        options = ssl.optionsForClientTLS(
            host, trustRoot=trusted, clientCertificate=client
        )
        return wrapClientTLS(options, end)

    return secure


def _read(make: Callable[[str], Any], path: str | None) -> Any:
    if path is None:
        return None
    try:
        return make(path)
    except OSError as error:
        raise ValueError(f"{error.filename}: {error.strerror}") from None
    except Exception as error:  # OpenSSL has errors of its own.
        why = str(error) if isinstance(error, ValueError) else "no PEM that is of use"
        raise ValueError(f"{path}: {why}") from None
