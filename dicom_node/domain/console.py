"""Values the console is configured by, and what it shows of a node that does not change."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from dicom_node.domain.accounts import Role
from dicom_node.domain.routes import Destination, Peer, Route, ViewPlan

__all__ = ["Access", "IdentityProvider", "NodeFacts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProvider:
    """An OpenID provider that people log in with.

    Attributes:
        issuer: Its address.
        client_id: What the node is called there.
        client_secret: Of the node there.
        ca_file: PEM file of authorities; None: those of the system.
        label: What the login page calls it.
        scope: What the node asks to know.
        name_claim: Claim with somebody's name.
        roles_claim: Claim with what somebody is; dots lead into nested ones.
        roles: (value of that claim, role it makes).
        default_role: Of people whom no value gives one; None: they may not log in.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    ca_file: str | None = None
    label: str = "your hospital account"
    scope: str = "openid profile"
    name_claim: str = "preferred_username"
    roles_claim: str = "groups"
    roles: tuple[tuple[str, Role], ...] = ()
    default_role: Role | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the console is reached and by whom.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        root_path: Path under which a proxy shows it; empty, or with a leading and no trailing
            slash.
        public_url: Where browsers find it; empty: where they ask.
        trusted_proxies: Addresses whose X-Forwarded-For and X-Forwarded-Proto are believed.
        session_idle_s: A session ends when it was not used for so long.
        session_max_s: A session ends after so long, however busy it is.
        logins_per_minute: Failed ones an account, and an address, may have in a minute.
        viewers_see_patients: Viewers see patients' identifiers too.
        provider: People may log in there instead of with a password.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    root_path: str = ""
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    session_idle_s: float = 3600.0
    session_max_s: float = 43200.0
    logins_per_minute: int = 5
    viewers_see_patients: bool = False
    provider: IdentityProvider | None = None

    @property
    def is_https(self) -> bool:
        """Whether browsers reach it over TLS for sure."""
        return urlsplit(self.public_url).scheme == "https"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What a node is called and how it is configured, as far as pages show it.

    Attributes:
        ae_title: Of the node.
        version: Of the software.
        peers: In order.
        destinations: In order.
        routes: In order.
        view_sets: In order.
        min_free_bytes: Free space below which images are refused.
        started_at: Unix seconds.
        data_dir: Folder of what it keeps.
    """

    ae_title: str
    version: str
    peers: tuple[Peer, ...] = ()
    destinations: tuple[Destination, ...] = ()
    routes: tuple[Route, ...] = ()
    view_sets: tuple[ViewPlan, ...] = ()
    min_free_bytes: int = 0
    started_at: float = 0.0
    data_dir: str = ""
