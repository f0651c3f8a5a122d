"""The section about the web console."""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from dicom_node.domain.console import Access
from dicom_node.settings.fields import Flag, Host, Networks, Port, Section
from dicom_node.settings.oidc import OidcSettings

__all__ = ["ConsoleSettings"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class ConsoleSettings(Section):
    """The web console. The first account is made by dicom-node console add-user."""

    enabled: Flag = False
    """Serve the console; it needs the extra console."""
    host: Host = "127.0.0.1"
    """Address to listen on. The console speaks HTTP: let a proxy with TLS stand before it where
    anybody else can reach the address."""
    port: Port = 8080
    """Port to listen on; 0 picks a free one, which the node_ready line tells."""
    root_path: str = ""
    """Path under which a proxy shows it, as /synth; empty: the console has the host alone."""
    public_url: str | None = None
    """Where browsers find it, as https://node.hospital/synth: cookies are then for TLS alone; null:
    where they ask."""
    trusted_proxies: Networks = ()
    """Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    session_idle_s: Annotated[float, Field(strict=True, ge=60)] = 3600.0
    """Seconds after which a session that is not used ends."""
    session_max_s: Annotated[float, Field(strict=True, ge=60)] = 43200.0
    """Seconds after which a session ends, however busy it is."""
    logins_per_minute: Annotated[int, Field(strict=True, ge=1, le=1000)] = 5
    """Failed logins an account, and an address, may have in a minute."""
    viewers_see_patients: Flag = False
    """true shows patients' identifiers to the role viewer too."""
    oidc: OidcSettings | None = None
    """An identity provider to log in with; passwords stay a way in beside it."""

    @field_validator("root_path")
    @classmethod
    def _path(cls, path: str) -> str:
        if path and not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
            raise ValueError(f"give a path as /synth, without a slash at the end, not {path!r}")
        return path

    @field_validator("public_url")
    @classmethod
    def _url(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError(f"give an address as https://node.hospital, not {url!r}")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _path_is_that_of_the_url(self) -> Self:
        if self.public_url is not None and urlsplit(self.public_url).path != self.root_path:
            raise ValueError("public_url and root_path have different paths")
        if self.oidc is not None and self.public_url is None:
            raise ValueError("oidc needs public_url: the provider sends people back to it")
        return self

    def to_domain(self) -> Access:
        """The same as a value of the domain.

        Raises:
            ConfigurationError: The secret for the identity provider is not there.
        """
        return Access(
            host=self.host,
            port=self.port,
            root_path=self.root_path,
            public_url=self.public_url or "",
            trusted_proxies=self.trusted_proxies,
            session_idle_s=self.session_idle_s,
            session_max_s=self.session_max_s,
            logins_per_minute=self.logins_per_minute,
            viewers_see_patients=self.viewers_see_patients,
            provider=None if self.oidc is None else self.oidc.to_domain(),
        )
