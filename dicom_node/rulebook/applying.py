"""Putting a checked configuration in force in a node that runs: all of it, or nothing."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import structlog

from dicom_node.audit.events import configuration_changed
from dicom_node.domain.errors import ConfigurationError
from dicom_node.network.tls import check_files
from dicom_node.ports import NewVersion
from dicom_node.services.ruling import RuleSet
from dicom_node.settings.references import check
from synthesis.digest import weights_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from dicom_node.audit.messages import AuditMessage
    from dicom_node.domain.routes import Destination
    from dicom_node.network.commitment import PynetCommitment
    from dicom_node.network.peers import PeerList
    from dicom_node.network.scp import StorageScp
    from dicom_node.ports import Clock, Engine, VersionLedger
    from dicom_node.services.outlets import Outlets
    from dicom_node.services.ruling import Rules
    from dicom_node.settings import Settings

__all__ = [
    "FROM_FILE",
    "HOT",
    "Applying",
    "Prepared",
    "prepare",
    "waits_for_restart",
    "written_down",
]

HOT: Final = ("peers", "destinations", "view_sets", "models", "routes")
"""Sections that are put in force without a restart; every other key waits for one."""

FROM_FILE: Final = "file"
"""Author of a version that somebody wrote with an editor: the file does not say who."""

_log = structlog.get_logger(__name__)


@runtime_checkable
class _Reloads(Protocol):
    def use(self, models: Mapping[str, str]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A configuration whose outer world was looked at: weights are there, TLS files can be used."""

    settings: Settings
    destinations: tuple[Destination, ...]
    models: Mapping[str, Path]
    weights: Mapping[str, str]

    def rule_set(self, version: int | None) -> RuleSet:
        """What decisions rest on."""
        return RuleSet(
            routes=self.settings.to_routes(),
            destinations={each.name: each for each in self.destinations},
            weights=self.weights,
            version=version,
        )


def prepare(settings: Settings) -> Prepared:
    """Look at everything outside of the file that a configuration needs. Nothing is changed.

    Raises:
        ConfigurationError: Weights or files of TLS are not usable.
    """
    models = settings.model_paths()
    destinations = settings.to_destinations()
    check_files(settings.to_tls(), destinations, settings.syslog_tls())
    weights = {name: _digest(path, f"models.{name}.path") for name, path in models.items()}
    return Prepared(settings=settings, destinations=destinations, models=models, weights=weights)


def _digest(path: Path, where: str) -> str:
    """SHA-256 of a checkpoint, as its engine will report it."""
    try:
        return _digest_as_of(path, _stamp(path))
    except OSError as error:
        raise ConfigurationError(f"{where}: {path} cannot be read: {error.strerror}") from error


@functools.lru_cache(maxsize=64)
def _digest_as_of(path: Path, stamp: tuple[tuple[str, int, int], ...]) -> str:
    # Gigabytes need not be read again because a route was renamed.
    return weights_digest(path)


def _stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Whether weights are those that were read before, as far as their folder says."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    found = [(str(each), each.stat()) for each in files]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in found)


def written_down(
    ledger: VersionLedger,
    settings: Settings,
    now: float,
    *,
    author: str = FROM_FILE,
    comment: str = "",
) -> int | None:
    """Number of the version of a configuration, written down if it is new; None without a file.

    Raises:
        CapacityError: The ledger cannot be written.
    """
    origin = settings.origin
    if origin is None:
        return None
    version = NewVersion(digest=origin.digest, text=origin.text, author=author, comment=comment)
    return ledger.record_version(version, now).number


def waits_for_restart(running: Settings, wanted: Settings) -> tuple[str, ...]:
    """Keys outside of the hot sections that differ, as people write them: ``node.port``."""
    old, new = running.model_dump(mode="json"), wanted.model_dump(mode="json")
    cold = [name for name in new if name not in HOT]
    return tuple(key for name in cold for key in _differing(old.get(name), new[name], name))


def _differing(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _differing(old.get(key), new.get(key), f"{path}.{key}")
    elif old != new:
        yield path


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    """The parts of a running node that follow its configuration.

    Attributes:
        running: What the node was started with; its cold keys stay until the next start.
        peers: Who may call, of a configuration.
        rules: Read by every service that decides.
        outlets: Of the destinations.
        scp: Knows the peers.
        commitment: Knows which peers may ask.
        engines: Have the models.
        ledger: Where versions are written down.
        audit: Told of every change.
        clock: Unix seconds.
        wake: Called after a change.
    """

    running: Settings
    peers: Callable[[Settings], PeerList]
    rules: Rules
    outlets: Outlets
    scp: StorageScp
    commitment: PynetCommitment
    engines: Sequence[Engine]
    ledger: VersionLedger
    audit: Callable[[AuditMessage], None]
    clock: Clock
    wake: Callable[[], None]

    def check(self, wanted: Settings) -> Prepared:
        """What `apply` takes: the hot sections that are wanted upon the cold keys that run.

        Raises:
            ConfigurationError: It cannot be used, or not before a restart.
        """
        merged = self.running.model_copy(update={name: getattr(wanted, name) for name in HOT})
        if wanted.origin is not None:
            merged.came_from(wanted.origin)
        wanted.model_paths()
        check_files(wanted.to_tls(), wanted.to_destinations(), wanted.syslog_tls())
        problems = check(merged.model_dump())
        if problems:
            raise ConfigurationError(
                *(f"{each}; this waits for a restart of the node" for each in problems)
            )
        return prepare(merged)

    def apply(self, prepared: Prepared, *, author: str, comment: str) -> int | None:
        """Put it in force; the number of its version.

        Every image is decided by the old rules or by the new ones, never by parts of both. An
        association that is open stays; a destination that is gone finishes what it is at.

        Raises:
            CapacityError: The ledger cannot be written; nothing changed.
        """
        settings = prepared.settings
        version = written_down(self.ledger, settings, self.clock(), author=author, comment=comment)
        paths = {name: str(path) for name, path in prepared.models.items()}
        for engine in self.engines:
            if isinstance(engine, _Reloads):
                engine.use(paths)
        self.rules.now = prepared.rule_set(version)
        self.scp.admit(self.peers(settings))
        self.commitment.admit(
            [peer.ae_title for peer in settings.to_peers() if peer.may_commit],
            settings.report_ports(),
        )
        self.outlets.serve(prepared.destinations)
        self.audit(configuration_changed(settings.node.ae_title, author, settings.digest()))
        _log.info("the configuration was applied", version=version, author=author)
        self.wake()
        return version
