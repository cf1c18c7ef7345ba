"""
Certificates for tests: an authority that nobody else trusts, a server that is
C{localhost}, and a client.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


__all__ = ["Certificates"]


@dataclass(frozen=True)
class Certificates:
    """
    The files, in PEM.

    @ivar authority: The certificate that says whom to trust.
    """

    authority: Path
    certificate: Path
    key: Path
    clientCertificate: Path
    clientKey: Path

    @classmethod
    def make(cls, directory: Path) -> Certificates:
        """
        Make new ones.
        """
        names = "ca.pem", "server.pem", "server.key", "client.pem", "client.key"
        paths = [directory / name for name in names]
        authority = _Authority()
        paths[0].write_bytes(authority.certificate.public_bytes(Encoding.PEM))
        authority.issue("localhost", *paths[1:3])
        authority.issue("client", *paths[3:5])
        return cls(*paths)


class _Authority:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("an authority for tests")
        public = self._key.public_key()
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = self._begin("an authority for tests", public)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
        builder = builder.add_extension(identifier, False)
        builder = builder.add_extension(usage, True)
        self.certificate = builder.sign(self._key, SHA256())

    def issue(self, name: str, certificate: Path, key: Path) -> None:
        own = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = self._begin(name, own.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
        # Python 3.13 insists on it.
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            self._key.public_key()
        )
        builder = builder.add_extension(issuer, False)
        signed = builder.sign(self._key, SHA256())
        certificate.write_bytes(signed.public_bytes(Encoding.PEM))
        key.write_bytes(
            own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )

    def _begin(
        self, name: str, public: ec.EllipticCurvePublicKey
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
