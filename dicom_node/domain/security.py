"""How a connection is secured: named profiles and the files they need."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DestinationTls", "TlsFiles", "TlsProfile"]


class TlsProfile(StrEnum):
    """What is negotiated (PS3.15 Annex B, after BCP 195). Neither goes below TLS 1.2.

    RFC8996 takes every suite with forward secrecy and authenticated encryption; RFC9325 leaves out
    finite-field Diffie-Hellman, which that document advises against.
    """

    RFC8996 = "bcp195-rfc8996"
    RFC9325 = "bcp195-rfc9325"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Who we are, whom we trust, and how we speak. Both sides always show a certificate.

    Attributes:
        where: Of the configuration these come from, for messages: ``tls``.
        certificate: PEM: ours first, then the chain to, but without, the root.
        key: PEM, not encrypted, for nobody but us to read.
        trusted: PEM: the authorities whose certificates are taken; no others are.
        profile: What is negotiated.
        warn_days: Days before our certificate ends from which on the log warns.
    """

    where: str
    certificate: Path
    key: Path
    trusted: Path
    profile: TlsProfile = TlsProfile.RFC8996
    warn_days: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationTls:
    """How a destination is spoken to.

    Attributes:
        files: Ours, and whom it must be certified by.
        check_host: Its certificate must be for the host we call.
    """

    files: TlsFiles
    check_host: bool = True
