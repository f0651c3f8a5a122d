"""The identity provider that people log in to the console with (OpenID Connect)."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from dicom_node.domain.accounts import Role
from dicom_node.domain.console import IdentityProvider
from dicom_node.settings.fields import FilePath, Section
from dicom_node.settings.secrets import Variable, read_secret

__all__ = ["OidcSettings"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")

Words = Annotated[str, Field(min_length=1, max_length=200)]


class RolesSettings(Section):
    """Which values of the roles' claim make which role; somebody with several gets the highest."""

    viewer: tuple[Words, ...] = ()
    """Values that make a viewer."""
    operator: tuple[Words, ...] = ()
    """Values that make an operator."""
    admin: tuple[Words, ...] = ()
    """Values that make an admin."""


class OidcSettings(Section):
    """An OpenID provider: Keycloak, Entra ID, ADFS and the like. It needs console.public_url."""

    issuer: Words
    """Its address, as https://login.hospital/realms/main; the rest is read from there."""
    client_id: Words
    """What the node is called there."""
    client_secret_file: FilePath | None = None
    """A file with the node's secret there in its first line, or"""
    client_secret_env: Variable | None = None
    """the name of an environment variable that holds it."""
    ca_file: FilePath | None = None
    """PEM file of the authorities that may have signed its certificate; null: those of the
    system."""
    label: Words = "your hospital account"
    """What the login page calls it."""
    scopes: tuple[Words, ...] = ("openid", "profile")
    """What the node asks to know."""
    name_claim: Words = "preferred_username"
    """Claim with the name that the console and the audit trail show."""
    roles_claim: Words = "groups"
    """Claim with what somebody is; dots lead into nested ones, as realm_access.roles."""
    roles: RolesSettings = RolesSettings()
    """Which of these values make which role."""
    default_role: Role | None = None
    """Role of people whom no value gives one; null: they may not log in."""

    @field_validator("issuer")
    @classmethod
    def _issuer(cls, issuer: str) -> str:
        parts = urlsplit(issuer)
        plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if not parts.hostname or parts.query or not (parts.scheme == "https" or plain):
            raise ValueError(f"give an address as https://login.hospital/realm, not {issuer!r}")
        return issuer

    @field_validator("scopes")
    @classmethod
    def _scopes(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if "openid" not in scopes:
            raise ValueError("openid has to be among them")
        return scopes

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.client_secret_file is None) == (self.client_secret_env is None):
            raise ValueError("give one of client_secret_file and client_secret_env")
        return self

    def to_domain(self) -> IdentityProvider:
        """The same as a value of the domain, with the secret.

        Raises:
            ConfigurationError: The secret is not there, or empty.
        """
        return IdentityProvider(
            issuer=self.issuer,
            client_id=self.client_id,
            client_secret=read_secret(
                "console.oidc.client_secret", self.client_secret_file, self.client_secret_env
            ),
            ca_file=None if self.ca_file is None else str(self.ca_file),
            label=self.label,
            scope=" ".join(self.scopes),
            name_claim=self.name_claim,
            roles_claim=self.roles_claim,
            roles=tuple(
                (value, role) for role in Role for value in getattr(self.roles, role.value)
            ),
            default_role=self.default_role,
        )
