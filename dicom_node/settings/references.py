"""Cross checks: names that must exist, names that must not stand twice.

They run on the plain data, so that a configuration with a typing error in one section is still told
of a wrong name in another: all problems at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dicom_node.settings.problems import Location, Problem, did_you_mean

__all__ = ["check"]


def check(data: object) -> list[Problem]:
    """Every reference that leads nowhere and every name given twice."""
    if not isinstance(data, Mapping):
        return []
    return [
        *_duplicate_names(data),
        *_duplicate_peers(data),
        *_unknown_names(data),
        *_own_address(data),
        *_notifications(data),
        *_tls(data),
        *_dicomweb(data),
    ]


def _items(data: Mapping[str, Any], section: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Entries of a list section that are mappings, with their positions."""
    for position, item in enumerate(_list(data.get(section))):
        if isinstance(item, Mapping):
            yield position, item


def _list(value: object) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _duplicate_names(data: Mapping[str, Any]) -> Iterator[Problem]:
    for section in ("peers", "destinations", "routes"):
        first: dict[str, int] = {}
        for position, item in _items(data, section):
            name = item.get("name")
            if not isinstance(name, str):
                continue
            if name in first:
                yield Problem(
                    location=(section, position, "name"),
                    message=f"{name!r} is already {section}[{first[name]}]: give each its own name",
                )
            first.setdefault(name, position)


def _duplicate_peers(data: Mapping[str, Any]) -> Iterator[Problem]:
    first: dict[tuple[str, object], int] = {}
    for position, item in _items(data, "peers"):
        title, host = item.get("ae_title"), item.get("host")
        if not isinstance(title, str) or not isinstance(host, str | None):
            continue
        if (title, host) in first:
            yield Problem(
                location=("peers", position),
                message=f"has the same ae_title and host as peers[{first[title, host]}]: remove it",
            )
        first.setdefault((title, host), position)


def _unknown_names(data: Mapping[str, Any]) -> Iterator[Problem]:
    destinations = [str(item.get("name")) for _, item in _items(data, "destinations")]
    models, view_sets = _keys(data, "models"), _keys(data, "view_sets")
    for position, route in _items(data, "routes"):
        at: Location = ("routes", position)
        synthesize = _mapping(route.get("synthesize"))
        yield from _unknown(synthesize.get("model"), models, "model", (*at, "synthesize", "model"))
        yield from _unknown(
            synthesize.get("views"), view_sets, "view set", (*at, "synthesize", "views")
        )
        seen: set[str] = set()
        for index, name in enumerate(_list(route.get("send_to"))):
            where: Location = (*at, "send_to", index)
            yield from _unknown(name, destinations, "destination", where)
            if isinstance(name, str) and name in seen:
                yield Problem(location=where, message=f"{name!r} stands twice: remove one")
            seen.add(str(name))


def _keys(data: Mapping[str, Any], section: str) -> list[str] | None:
    """Names in a mapping section; None when it is no mapping, which is a problem of its own."""
    found = data.get(section, {})
    return [str(name) for name in found] if isinstance(found, Mapping) else None


def _unknown(
    name: object, known: Sequence[str] | None, what: str, where: Location
) -> Iterator[Problem]:
    if isinstance(name, str) and known is not None and name not in known:
        if known:
            hint = did_you_mean(name, known, otherwise="there are")
        else:
            hint = f": the configuration has no {what}s"
        yield Problem(location=where, message=f"no {what} is named {name!r}{hint}")


def _own_address(data: Mapping[str, Any]) -> Iterator[Problem]:
    node = _mapping(data.get("node"))
    port = node.get("port")
    for position, item in _items(data, "destinations"):
        if item.get("host") is None:
            continue
        same = item.get("host") == node.get("host") and item.get("port") == port
        if port and same and item.get("ae_title") == node.get("ae_title"):
            yield Problem(
                location=("destinations", position),
                message="is this node itself: it would send its own output to itself",
            )


def _notifications(data: Mapping[str, Any]) -> Iterator[Problem]:
    section = _mapping(data.get("notifications"))
    destinations = [str(item.get("name")) for _, item in _items(data, "destinations")]
    channels: list[str] = []
    rules: list[str] = []
    for kind, names in (("webhooks", channels), ("emails", channels), ("rules", rules)):
        for position, item in _items(section, kind):
            name = str(item.get("name"))
            if name in names:
                yield Problem(
                    location=("notifications", kind, position, "name"),
                    message=f"{name!r} stands twice: give each its own name",
                )
            names.append(name)
    for position, rule in _items(section, "rules"):
        at: Location = ("notifications", "rules", position)
        for key, known, what in (
            ("to", channels, "webhook or email"),
            ("destinations", destinations, "destination"),
        ):
            for index, name in enumerate(_list(rule.get(key))):
                yield from _unknown(name, known, what, (*at, key, index))


def _tls(data: Mapping[str, Any]) -> Iterator[Problem]:
    """What needs the node's own TLS section where there is none."""
    if data.get("tls") is not None:
        node = _mapping(data.get("node"))
        port = _mapping(data.get("tls")).get("port")
        if port and port == node.get("port", 11112):
            yield Problem(
                location=("tls", "port"),
                message="is node.port too: give another, or null to have TLS there alone",
            )
        return
    for position, peer in _items(data, "peers"):
        for key in ("require_tls", "subject"):
            if peer.get(key):
                yield Problem(
                    location=("peers", position, key),
                    message="the node has no tls section, so this peer could never call",
                )
    syslog = _mapping(data.get("audit")).get("syslog")
    if isinstance(syslog, Mapping):
        files = _mapping(syslog.get("tls"))
        if not (files.get("certificate") and files.get("trusted")):
            yield Problem(
                location=("audit", "syslog", "tls"),
                message="the node has no tls section, so certificate, key and trusted are needed",
            )
    for position, destination in _items(data, "destinations"):
        own = destination.get("tls")
        if isinstance(own, Mapping) and not (own.get("certificate") and own.get("trusted")):
            yield Problem(
                location=("destinations", position, "tls"),
                message="the node has no tls section, so certificate, key and trusted are needed",
            )


def _dicomweb(data: Mapping[str, Any]) -> Iterator[Problem]:
    """What those who store by HTTP need."""
    section = _mapping(data.get("dicomweb"))
    if not section.get("enabled"):
        return
    if section.get("tls") and data.get("tls") is None:
        yield Problem(
            location=("dicomweb", "tls"),
            message="the node has no tls section: give one, or false with a proxy before it",
        )
    tokens = ("token_file", "token_env")
    if not any(peer.get(key) for _, peer in _items(data, "peers") for key in tokens):
        yield Problem(
            location=("dicomweb", "enabled"),
            message="no peer has a token_file or token_env, so nobody could store",
        )
