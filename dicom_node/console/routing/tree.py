"""A predicate as a form shows it: groups and terms, each with fields of its own.

A node is named by its place, ``w-0-2``; the fields of a form begin with that name. What somebody
typed is kept as it is, also when it is wrong: the settings say what is wrong with it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dicom_node.settings.problems import Location

__all__ = [
    "GROUPS",
    "KINDS",
    "ROOT",
    "Node",
    "added",
    "data_of",
    "joined",
    "newest",
    "node_at",
    "node_of",
    "read_node",
    "removed",
    "split",
]

ROOT: Final = "w"

GROUPS: Final = {
    "all": "all of these hold",
    "any": "at least one of these holds",
    "none": "none of these holds",
}
"""Kinds of groups, in words."""

KINDS: Final = {
    "equals": "is",
    "one_of": "is one of",
    "matches": "matches",
    "range": "is between",
    "present": "is there",
    "absent": "is not there",
}
"""Kinds of terms, in words."""

_DEPTH: Final = 8
_PARTS: Final = 100
_TEXT: Final = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A group or a term.

    Attributes:
        id: Its place.
        kind: One of `GROUPS` and `KINDS`.
        attribute: Of a term.
        value: Of a term: a text, an expression, or texts with commas between.
        low: Of a range, as typed.
        high: Of a range, as typed.
        parts: Of a group.
    """

    id: str
    kind: str
    attribute: str = ""
    value: str = ""
    low: str = ""
    high: str = ""
    parts: tuple[Node, ...] = ()

    @property
    def is_group(self) -> bool:
        """Whether it has parts and no attribute."""
        return self.kind in GROUPS

    @property
    def depth(self) -> int:
        """0 for the outermost group."""
        return self.id.count("-")


def node_of(data: object, place: str = ROOT) -> Node:
    """The node of a predicate as it stands in a file; a term alone becomes a group of one."""
    found = _node_of(data, place)
    if place == ROOT and not found.is_group:
        return Node(id=ROOT, kind="all", parts=(_placed(found, f"{ROOT}-0"),))
    return found


def _node_of(data: object, place: str) -> Node:
    if not isinstance(data, dict):
        return Node(id=place, kind="all")
    for kind in GROUPS:
        if kind in data:
            parts = data[kind] if isinstance(data[kind], list) else []
            nodes = (_node_of(part, f"{place}-{i}") for i, part in enumerate(parts))
            return Node(id=place, kind=kind, parts=tuple(nodes))
    attribute = str(data.get("attribute") or "")
    if "range" in data:
        ends = data["range"] if isinstance(data["range"], dict) else {}
        low, high = (_typed(ends.get(key)) for key in ("at_least", "at_most"))
        return Node(id=place, kind="range", attribute=attribute, low=low, high=high)
    if "present" in data:
        kind = "absent" if data["present"] is False else "present"
        return Node(id=place, kind=kind, attribute=attribute)
    if "one_of" in data:
        texts = data["one_of"] if isinstance(data["one_of"], list) else [data["one_of"]]
        value = joined([_typed(each) for each in texts])
        return Node(id=place, kind="one_of", attribute=attribute, value=value)
    kind = "matches" if "matches" in data else "equals"
    return Node(id=place, kind=kind, attribute=attribute, value=_typed(data.get(kind)))


def data_of(node: Node, *, bare: bool = False) -> dict[str, Any]:
    """The predicate as it is to stand in the file.

    Args:
        node: The outermost.
        bare: A group of one term is that term alone.
    """
    if bare and node.kind == "all" and len(node.parts) == 1 and not node.parts[0].is_group:
        return data_of(node.parts[0])
    match node.kind:
        case "all" | "any" | "none":
            return {node.kind: [data_of(part) for part in node.parts]}
        case "one_of":
            return {"attribute": node.attribute, "one_of": split(node.value)}
        case "range":
            ends = {"at_least": node.low, "at_most": node.high}
            given = {key: number(text) for key, text in ends.items() if text.strip()}
            return {"attribute": node.attribute, "range": given}
        case "present" | "absent":
            return {"attribute": node.attribute, "present": node.kind == "present"}
        case _:
            return {"attribute": node.attribute, node.kind: node.value}


def number(text: str) -> int | float | str:
    """A number as it stands in a file; what is none is left to the settings to complain of."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _typed(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def joined(texts: list[str]) -> str:
    """Texts with commas between; one that has a comma stands in quotes."""
    return ", ".join(f'"{each}"' if "," in each or not each else each for each in texts)


def split(text: str) -> list[str]:
    """The texts of `joined`."""
    (row,) = csv.reader([" ".join(text.splitlines())], skipinitialspace=True) if text else ([],)
    return [each.strip() for each in row if each.strip()]


def read_node(fields: Mapping[str, str], place: str = ROOT) -> Node:
    """The node that a form was sent with."""
    kind = fields.get(f"{place}-kind", "all")
    if kind not in GROUPS and kind not in KINDS:
        kind = "equals"
    if kind in GROUPS:
        typed = fields.get(f"{place}-n", "0")
        count = min(int(typed), _PARTS) if typed.isascii() and typed.isdigit() else 0
        if place.count("-") >= _DEPTH:
            count = 0
        parts = (read_node(fields, f"{place}-{i}") for i in range(count))
        return Node(id=place, kind=kind, parts=tuple(parts))

    def text(key: str) -> str:
        return fields.get(f"{place}-{key}", "")[:_TEXT]

    return Node(
        id=place,
        kind=kind,
        attribute=text("attribute"),
        value=text("value"),
        low=text("low"),
        high=text("high"),
    )


def added(root: Node, place: str, *, group: bool) -> Node:
    """The tree with a term or a group more in a group."""

    def grown(node: Node) -> Node:
        here = f"{node.id}-{len(node.parts)}"
        new = Node(id=here, kind="any" if node.kind == "all" else "all") if group else None
        part = new or Node(id=here, kind="equals")
        if new is not None:
            part = replace(new, parts=(Node(id=f"{here}-0", kind="equals"),))
        return replace(node, parts=(*node.parts, part))

    return _changed(root, place, grown)


def newest(node: Node, place: str) -> str:
    """The place of the last term in a group."""
    if node.id == place or place.startswith(f"{node.id}-"):
        for part in node.parts:
            if place == part.id or place.startswith(f"{part.id}-"):
                return newest(part, place)
    while node.is_group and node.parts:
        node = node.parts[-1]
    return node.id


def removed(root: Node, place: str) -> Node:
    """The tree without a node."""
    above, _, _ = place.rpartition("-")

    def shrunk(node: Node) -> Node:
        left = [part for part in node.parts if part.id != place]
        return replace(
            node, parts=tuple(_placed(part, f"{node.id}-{i}") for i, part in enumerate(left))
        )

    return _changed(root, above, shrunk)


def _changed(node: Node, place: str, change: Callable[[Node], Node]) -> Node:
    if node.id == place:
        return change(node) if node.is_group else node
    return replace(node, parts=tuple(_changed(part, place, change) for part in node.parts))


def _placed(node: Node, place: str) -> Node:
    parts = (_placed(part, f"{place}-{i}") for i, part in enumerate(node.parts))
    return replace(node, id=place, parts=tuple(parts))


def node_at(location: Location, *, bare: bool) -> str:
    """The place of the node that a problem is about.

    Args:
        location: Of the problem, from ``when`` on and without it.
        bare: The group of one term stands in the file as that term alone.
    """
    if bare:
        return f"{ROOT}-0"
    place, rest = ROOT, list(location)
    while len(rest) >= 2 and rest[0] in GROUPS and isinstance(rest[1], int):
        place = f"{place}-{rest[1]}"
        rest = rest[2:]
    return place
