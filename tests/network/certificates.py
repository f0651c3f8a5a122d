"""Certificates of every kind: good, expired, signed by themselves or by a stranger."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from dicom_node.domain.security import TlsFiles, TlsProfile

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Hospital"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def write(folder: Path, name: str, certificate: x509.Certificate, key: object) -> Pair:
    pair = Pair(certificate=folder / f"{name}.pem", key=folder / f"{name}.key")
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pair.key.unlink(missing_ok=True)
    pair.key.touch(mode=0o600)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    pair.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pair


class Authority:
    """Signs certificates for 127.0.0.1."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.certificate = (
            self._builder(self._name, self._key, days=3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.path = write(folder, name, self.certificate, self._key).certificate

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: float
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - 10 * DAY)
            .not_valid_after(NOW + days * DAY)
        )

    def issue(
        self, name: str, *, days: float = 365, host: str = "127.0.0.1", as_file: str = ""
    ) -> Pair:
        """A certificate; with negative days one that has ended."""
        key = ec.generate_private_key(ec.SECP256R1())
        addresses = [x509.IPAddress(ipaddress.ip_address(host)), x509.DNSName("localhost")]
        certificate = (
            self._builder(_name(name), key, days)
            .add_extension(x509.SubjectAlternativeName(addresses), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return write(self.folder, as_file or name, certificate, key)


def self_signed(folder: Path, name: str = "self") -> Pair:
    """A certificate that nobody but its holder vouches for."""
    authority = Authority(folder, name)
    return Pair(certificate=authority.path, key=folder / f"{name}.key")


def files(
    pair: Pair, trusted: Path, profile: TlsProfile = TlsProfile.RFC8996, warn_days: float = 30.0
) -> TlsFiles:
    return TlsFiles(
        where="tls",
        certificate=pair.certificate,
        key=pair.key,
        trusted=trusted,
        profile=profile,
        warn_days=warn_days,
    )
