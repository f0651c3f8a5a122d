"""What a person may change in a configuration, as values, and what the data say afterwards."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final

from dicom_node.domain.errors import ConfigurationError

__all__ = [
    "LISTS",
    "MAPPINGS",
    "NOUNS",
    "Edit",
    "Move",
    "Put",
    "Remove",
    "Switch",
    "after",
    "names_in",
]

LISTS: Final = ("routes", "destinations", "peers")
"""Sections that are lists whose items have a name."""

MAPPINGS: Final = ("view_sets", "models")
"""Sections that are mappings by name."""

NOUNS: Final = {
    "routes": "route",
    "destinations": "destination",
    "peers": "peer",
    "view_sets": "view set",
    "models": "model",
}
"""What one thing of a section is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A thing is made or changed.

    Attributes:
        section: One of `LISTS` and `MAPPINGS`.
        name: It has so far; empty for a new one.
        new_name: It is to have. Routes that use it follow.
        value: Its keys as they stand in the file, without ``name``.
    """

    section: str
    name: str
    new_name: str
    value: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """A thing is taken out."""

    section: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A route comes to another place in the order.

    Attributes:
        name: Of the route.
        to: Its place among all of them, from 0; beyond the end is the end.
    """

    name: str
    to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A route is switched on or off."""

    name: str
    enabled: bool


Edit = Put | Remove | Move | Switch


def names_in(data: Any, section: str) -> list[str]:
    """Names of the things in a section, in order."""
    content = data.get(section) if isinstance(data, dict) else None
    if section in MAPPINGS:
        return [str(name) for name in content] if isinstance(content, dict) else []
    items = content if isinstance(content, list) else []
    return [str(item.get("name", "")) for item in items if isinstance(item, dict)]


def after(data: dict[str, Any], edit: Edit) -> dict[str, Any]:
    """The data after an edit; what is given stays as it is.

    Raises:
        ConfigurationError: The thing is not there, or there is one of the new name.
    """
    changed = copy.deepcopy(data)
    match edit:
        case Put():
            _put(changed, edit)
        case Remove(section=section, name=name):
            _there(changed, section, name)
            if section in MAPPINGS:
                del changed[section][name]
            else:
                del changed[section][names_in(changed, section).index(name)]
        case Move(name=name, to=to):
            place = _there(changed, "routes", name)
            routes = changed["routes"]
            routes.insert(max(0, to), routes.pop(place))
        case Switch(name=name, enabled=enabled):
            route = changed["routes"][_there(changed, "routes", name)]
            if enabled and "enabled" not in route:
                return changed
            route["enabled"] = enabled
    return changed


def _there(data: dict[str, Any], section: str, name: str) -> int:
    names = names_in(data, section)
    if name not in names:
        raise ConfigurationError(f"{section}: there is no {NOUNS[section]} {name!r} any more")
    return names.index(name)


def _put(data: dict[str, Any], put: Put) -> None:
    names = names_in(data, put.section)
    if put.new_name != put.name and put.new_name in names:
        raise ConfigurationError(
            f"{put.section}: there is a {NOUNS[put.section]} {put.new_name!r} already"
        )
    if put.section in MAPPINGS:
        old = dict(data.get(put.section) or {})
        if put.name:
            _there(data, put.section, put.name)
            data[put.section] = {
                put.new_name if name == put.name else name: put.value if name == put.name else each
                for name, each in old.items()
            }
        else:
            data[put.section] = {**old, put.new_name: put.value}
    else:
        item = {"name": put.new_name, **put.value}
        if put.name:
            data[put.section][_there(data, put.section, put.name)] = item
        else:
            data[put.section] = [*(data.get(put.section) or []), item]
    if put.name and put.name != put.new_name:
        _follow(data, put)


def _follow(data: dict[str, Any], put: Put) -> None:
    """Let routes use a thing by its new name."""
    for route in data.get("routes") or []:
        if put.section == "destinations":
            sent = route.get("send_to") or []
            route["send_to"] = [put.new_name if name == put.name else name for name in sent]
        key = {"models": "model", "view_sets": "views"}.get(put.section)
        made = route.get("synthesize")
        if key and isinstance(made, dict) and made.get(key) == put.name:
            made[key] = put.new_name
