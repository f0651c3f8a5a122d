"""A predicate in words, for people who look at a list of routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom_node.console.routing.tree import split

if TYPE_CHECKING:
    from dicom_node.console.routing.tree import Node

__all__ = ["in_words"]


def in_words(node: Node) -> str:
    """The images that a predicate is about, as one sentence without its end."""
    if node.kind == "all" and not node.parts:
        return "every image"
    return _words(node, inside=False)


def _words(node: Node, *, inside: bool) -> str:
    if not node.is_group:
        return _term(node)
    parts = [_words(part, inside=len(node.parts) > 1) for part in node.parts]
    match node.kind:
        case "none":
            said = f"not {' and not '.join(parts)}" if parts else "anything"
        case "any":
            said = " or ".join(parts) or "nothing"
        case _:
            said = " and ".join(parts) or "anything"
    return f"({said})" if inside and len(parts) > 1 else said


def _term(node: Node) -> str:
    name = node.attribute or "…"
    match node.kind:
        case "one_of":
            return f"{name} is {' or '.join(split(node.value)) or '…'}"
        case "matches":
            return f"{name} matches {node.value or '…'}"
        case "range" if node.low and node.high:
            return f"{name} is {node.low} to {node.high}"
        case "range":
            return (
                f"{name} is at least {node.low}" if node.low else f"{name} is at most {node.high}"
            )
        case "present":
            return f"{name} is there"
        case "absent":
            return f"{name} is not there"
        case _:
            return f"{name} is {node.value or '…'}"
