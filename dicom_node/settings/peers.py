"""The section about those who may call this node."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from dicom_node.domain.routes import Peer
from dicom_node.settings.fields import AeTitle, FilePath, Flag, Name, Section, host
from dicom_node.settings.problems import did_you_mean
from dicom_node.settings.secrets import Variable, instead_of, read_secret

__all__ = ["PeerSettings"]

SUBJECT_ATTRIBUTES: Final = (
    "commonName",
    "serialNumber",
    "organizationName",
    "organizationalUnitName",
    "localityName",
    "stateOrProvinceName",
    "countryName",
    "emailAddress",
)
"""Of a certificate's subject (RFC 5280), those a peer may be known by."""


def _network(text: str) -> str:
    if "/" not in text:
        return host(text)
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError as error:
        raise ValueError(f"{text!r} is no network: {error}; give one like 10.1.2.0/24") from None


def _subject_attribute(name: str) -> str:
    if name not in SUBJECT_ATTRIBUTES:
        hint = did_you_mean(name, SUBJECT_ATTRIBUTES, otherwise="give one of")
        raise ValueError(f"{name!r} is no attribute of a subject{hint}")
    return name


PeerHost = Annotated[str, AfterValidator(_network)]
"""A host name, an address, or a network in CIDR notation."""

SubjectAttribute = Annotated[str, AfterValidator(_subject_attribute)]
"""An attribute of a certificate's subject."""

Limit = Annotated[int, Field(strict=True, ge=1)]
"""A number of things, at least one."""

Subject = Annotated[
    dict[SubjectAttribute, str],
    Field(min_length=1),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"enum": list(SUBJECT_ATTRIBUTES)},
            "additionalProperties": {"type": "string"},
        }
    ),
]


class PeerSettings(Section):
    """One that may send to this node."""

    name: Name
    """Name in logs and lists."""
    ae_title: AeTitle
    """AE title it calls with."""
    host: PeerHost | None = None
    """Address, host name or network (10.1.2.0/24) it must call from; null accepts its AE title from
    anywhere."""
    require_tls: Flag | None = None
    """Whether it must call over TLS; null: when the node has a tls section."""
    subject: Subject | None = None
    """What the subject of its certificate must say, e.g. {commonName: ct1}; null: nothing certain.
    It then must call over TLS."""
    may_send: Flag = True
    """Whether it may store images here."""
    may_commit: Flag = True
    """Whether it may ask for storage commitment of what it sent."""
    commitment_port: Annotated[int, Field(strict=True, ge=1, le=65535)] | None = None
    """Its DICOM port for reports on storage commitment, when it does not wait for them on the
    association it asked on; null: then it must wait."""
    max_associations: Limit | None = None
    """Associations it may have open at one time; null: as many as the node has."""
    associations_per_minute: Limit | None = None
    """How often it may call; null: as often as it likes."""
    images_per_minute: Limit | None = None
    """How many images it may send; more are refused as out of resources (0xA700), so that it sends
    them later. null: no limit."""

    token_file: FilePath | None = None
    """File whose first line is the token by which it stores over HTTP (STOW-RS, see dicomweb):
    Authorization: Bearer TOKEN, or Basic with its name and the token. null: it may not."""
    token_env: Annotated[Variable, instead_of("token_file")] | None = None
    """Environment variable that holds it, instead of a file."""

    def _token(self) -> Callable[[], str] | None:
        if self.token_file is None and self.token_env is None:
            return None
        return partial(read_secret, f"peers {self.name}: token", self.token_file, self.token_env)

    def to_domain(self, *, node_has_tls: bool) -> Peer:
        """The same as a value of the domain.

        Args:
            node_has_tls: Whether the node speaks TLS.
        """
        required = node_has_tls if self.require_tls is None else self.require_tls
        return Peer(
            name=self.name,
            ae_title=self.ae_title,
            host=self.host,
            require_tls=required or self.subject is not None,
            subject=tuple(sorted((self.subject or {}).items())),
            may_send=self.may_send,
            may_commit=self.may_commit,
            max_associations=self.max_associations,
            associations_per_minute=self.associations_per_minute,
            images_per_minute=self.images_per_minute,
            token=self._token(),
        )
