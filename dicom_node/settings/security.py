"""The sections about TLS and the audit trail."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from dicom_node.domain.security import DestinationTls, TlsFiles, TlsProfile
from dicom_node.settings.fields import FilePath, Flag, Host, Port, Section

__all__ = ["AuditSettings", "DestinationTlsSettings", "SyslogSettings", "TlsSettings"]

WarnDays = Annotated[float, Field(strict=True, ge=0, le=3650)]


class TlsSettings(Section):
    """TLS of this node, to be called and to call. Both sides show a certificate, always."""

    port: Port | None = None
    """Port for TLS beside node.port, which then stays open for plain connections; null: node.port
    speaks TLS, and nothing is plain."""
    certificate: FilePath
    """PEM file: the node's certificate, then its chain. Read anew when it changes."""
    key: FilePath
    """PEM file: its private key, without a password and for nobody but the node to read."""
    trusted: FilePath
    """PEM file: authorities whose certificates are accepted; no others are."""
    profile: TlsProfile = TlsProfile.RFC8996
    """Profile of PS3.15 Annex B: bcp195-rfc8996 or, with fewer suites, bcp195-rfc9325. Both are TLS
    1.2 and 1.3 and never go below."""
    warn_days: WarnDays = 30.0
    """The log warns so many days before the certificate ends."""

    def to_domain(self) -> TlsFiles:
        """The same as a value of the domain."""
        return TlsFiles(
            where="tls",
            certificate=self.certificate,
            key=self.key,
            trusted=self.trusted,
            profile=self.profile,
            warn_days=self.warn_days,
        )


class DestinationTlsSettings(Section):
    """TLS towards a destination. What is left out is the node's own."""

    certificate: FilePath | None = None
    """PEM file: the certificate shown to it, with its chain."""
    key: FilePath | None = None
    """PEM file: the private key of that certificate."""
    trusted: FilePath | None = None
    """PEM file: authorities one of which certified the destination."""
    profile: TlsProfile | None = None
    """Profile of PS3.15 Annex B, as in tls."""
    check_host: Flag = True
    """Its certificate must be for the host that is called."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("give certificate and key together, or neither")
        return self

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the node's own is needed."""
        return self.certificate is not None and self.trusted is not None

    def to_domain(self, where: str, node: TlsSettings | None) -> DestinationTls:
        """The same as a value of the domain, completed by the node's own.

        Args:
            where: Path of this section.
            node: TLS of the node; None only when this section is complete.
        """
        certificate = self.certificate or (node.certificate if node else None)
        key = self.key or (node.key if node else None)
        trusted = self.trusted or (node.trusted if node else None)
        if certificate is None or key is None or trusted is None:
            raise ValueError(f"{where} needs certificate, key and trusted")
        own = node.profile if node else TlsProfile.RFC8996
        return DestinationTls(
            files=TlsFiles(
                where=where,
                certificate=certificate,
                key=key,
                trusted=trusted,
                profile=self.profile or own,
                warn_days=node.warn_days if node else 30.0,
            ),
            check_host=self.check_host,
        )


class SyslogSettings(Section):
    """A receiver of audit messages: syslog over TLS (RFC 5425)."""

    host: Host
    """Its address."""
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = 6514
    """Its port."""
    tls: DestinationTlsSettings = DestinationTlsSettings()
    """TLS towards it; what is left out is the node's own."""


class AuditSettings(Section):
    """The audit trail: DICOM audit messages (PS3.15 A.5) of what happens in the node."""

    enabled: Flag = True
    """false keeps no trail."""
    file: FilePath | None = None
    """File of the trail; null: audit/trail.log in data_dir."""
    patient_ids: Flag = False
    """Write Patient IDs into it; false writes a pseudonym made of the study's UID. Names never."""
    syslog: SyslogSettings | None = None
    """A receiver the messages are sent to as well; null: none. While it is away, they wait."""
