"""The whole configuration as one frozen value, and its conversions to the domain."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Self

from pydantic import Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

import synthesis
from dicom_node.domain.errors import ConfigurationError
from dicom_node.domain.identifiers import digest_of
from dicom_node.domain.routes import Destination, Peer, Route
from dicom_node.domain.security import DestinationTls, TlsFiles
from dicom_node.settings import references
from dicom_node.settings.console import ConsoleSettings
from dicom_node.settings.dicomweb import DicomWebSettings
from dicom_node.settings.fields import Name, Section
from dicom_node.settings.monitoring import MonitoringSettings
from dicom_node.settings.notifications import NotificationSettings
from dicom_node.settings.origin import Origin
from dicom_node.settings.passwords import with_password
from dicom_node.settings.peers import PeerSettings
from dicom_node.settings.problems import REFERENCES
from dicom_node.settings.sections import (
    BUNDLED,
    DestinationSettings,
    EngineSettings,
    Family,
    ModelSettings,
    NodeSettings,
    RetentionSettings,
    RouteSettings,
    ViewSetSettings,
)
from dicom_node.settings.security import AuditSettings, TlsSettings

__all__ = ["LEDGER_FILE", "Settings"]

LEDGER_FILE: Final = "ledger.sqlite"
"""Name of the ledger in data_dir when no database_url is given."""

_PUBLISHED_INDEX: Final = "model_index.json"


class Settings(Section):
    """Configuration of a node."""

    node: NodeSettings
    """This node."""
    tls: TlsSettings | None = None
    """TLS of this node; null: all connections are plain, for networks that are safe otherwise."""
    peers: tuple[PeerSettings, ...] = ()
    """Who may send to this node; everybody else is rejected."""
    destinations: tuple[DestinationSettings, ...] = ()
    """Whom this node sends to."""
    view_sets: dict[Name, ViewSetSettings] = Field(default_factory=dict)
    """Sets of views by name."""
    models: dict[Name, ModelSettings] = Field(default_factory=dict)
    """Weights by name."""
    routes: tuple[RouteSettings, ...] = ()
    """Tried in this order for every image; the first that holds decides."""
    engine: EngineSettings = EngineSettings()
    """The process that synthesizes."""
    console: ConsoleSettings = ConsoleSettings()
    """The web console."""
    dicomweb: DicomWebSettings = DicomWebSettings()
    """The port for those who store by HTTP."""
    monitoring: MonitoringSettings = MonitoringSettings()
    """The port for Prometheus and health checks."""
    notifications: NotificationSettings = NotificationSettings()
    """Who is told when something is wrong."""
    audit: AuditSettings = AuditSettings()
    """The audit trail."""
    retention: RetentionSettings = RetentionSettings()
    """How long files are kept."""

    _origin: Origin | None = PrivateAttr(default=None)

    @property
    def origin(self) -> Origin | None:
        """The file it was read from; None when it was made otherwise."""
        return self._origin

    def came_from(self, origin: Origin) -> None:
        """Remember the file it was read from."""
        self._origin = origin

    def __eq__(self, other: object) -> bool:
        # What is configured counts, not the file it came from.
        return isinstance(other, Settings) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(self.digest())

    @model_validator(mode="after")
    def _references_lead_somewhere(self) -> Self:
        problems = references.check(self.model_dump())
        if problems:
            raise PydanticCustomError(
                REFERENCES, "{problems}", {"problems": "; ".join(map(str, problems))}
            )
        return self

    def database_url(self) -> str:
        """SQLAlchemy URL of the ledger; its file and folder need not exist.

        Raises:
            ConfigurationError: The password of PostgreSQL cannot be read.
        """
        if self.node.database_url is not None:
            return with_password(self.node)
        return f"sqlite:///{self.node.data_dir.absolute() / LEDGER_FILE}"

    def to_peers(self) -> tuple[Peer, ...]:
        """Peers in order."""
        return tuple(peer.to_domain(node_has_tls=self.tls is not None) for peer in self.peers)

    def report_ports(self) -> dict[str, int]:
        """AE title of a peer -> its port for reports on storage commitment."""
        return {
            peer.ae_title: peer.commitment_port
            for peer in self.peers
            if peer.commitment_port is not None
        }

    def to_destinations(self) -> tuple[Destination, ...]:
        """Destinations in order."""
        return tuple(
            each.to_domain(
                tls=None
                if each.tls is None
                else each.tls.to_domain(f"destinations[{position}].tls", self.tls)
            )
            for position, each in enumerate(self.destinations)
        )

    def to_tls(self) -> TlsFiles | None:
        """TLS of the node; None when it has none."""
        return self.tls.to_domain() if self.tls is not None else None

    def audit_file(self) -> Path | None:
        """File of the audit trail; None when there is to be none."""
        if not self.audit.enabled:
            return None
        return self.audit.file or self.node.data_dir.absolute() / "audit" / "trail.log"

    def syslog_tls(self) -> DestinationTls | None:
        """TLS towards the receiver of audit messages; None when there is none."""
        syslog = self.audit.syslog
        return None if syslog is None else syslog.tls.to_domain("audit.syslog.tls", self.tls)

    def digest(self) -> str:
        """SHA-256 of the whole configuration, as it was understood."""
        return digest_of(self.model_dump(mode="json"))

    def plain_port(self) -> int | None:
        """Port for plain connections; None when there are none."""
        return self.node.port if self.tls is None or self.tls.port is not None else None

    def tls_port(self) -> int | None:
        """Port for TLS connections; None when there are none."""
        if self.tls is None:
            return None
        return self.node.port if self.tls.port is None else self.tls.port

    def to_routes(self) -> tuple[Route, ...]:
        """Routes in order, the disabled ones included."""
        return tuple(self._route(route) for route in self.routes)

    def model_paths(self) -> dict[str, Path]:
        """Checkpoint file or folder by name of model.

        Raises:
            ConfigurationError: A file or folder is not there.
        """
        paths, problems = {}, []
        for name, model in self.models.items():
            path = _bundled_weights() if model.path == BUNDLED else Path(model.path)
            if path is None:
                problems.append(
                    f"models.{name}.path: no weights are bundled with this installation: "
                    "install the released package, or name a checkpoint file"
                )
            elif model.family is Family.SVDRR and not (path / _PUBLISHED_INDEX).is_file():
                problems.append(
                    f"models.{name}.path: there is no {_PUBLISHED_INDEX} in {path}: name the "
                    "folder of a published model"
                )
            elif model.family is Family.VCDIT and path.is_dir():
                problems.append(
                    f"models.{name}.path: {path} is a folder: name a checkpoint file, or give "
                    "family: svdrr"
                )
            elif model.family is Family.VCDIT and not path.is_file():
                problems.append(f"models.{name}.path: there is no file {path}")
            else:
                paths[name] = path
        if problems:
            raise ConfigurationError(*problems)
        return paths

    def _route(self, route: RouteSettings) -> Route:
        plan = self.view_sets[route.synthesize.views]
        return Route(
            name=route.name,
            when=route.when.to_domain(),
            views=plan.to_domain(route.synthesize.views),
            model=route.synthesize.model,
            samples=route.synthesize.samples,
            steps=route.synthesize.steps,
            min_consistency=route.synthesize.min_consistency,
            allow_ineligible=route.synthesize.allow_ineligible,
            send_to=route.send_to,
            priority=route.priority,
            digest=_route_digest(route, plan),
            enabled=route.enabled,
        )


def _route_digest(route: RouteSettings, plan: ViewSetSettings) -> str:
    """Identity of a route: all that decides what it makes and for whom.

    What is left at its default does not count, so a later version with more keys gives the same
    digest. Neither does priority, which moves work but does not change it; nor the path of the
    model, as the digest of its weights stands beside this one in every job key.
    """
    return digest_of(
        {
            "route": route.model_dump(
                mode="json", exclude_defaults=True, exclude={"enabled", "priority"}
            ),
            "views": plan.model_dump(mode="json", exclude_defaults=True),
        }
    )


def _bundled_weights() -> Path | None:
    """The checkpoint packaged with the synthesis library; None when there is none."""
    path = Path(synthesis.__file__).parent / "weights" / "chest.safetensors"
    return path if path.is_file() else None
