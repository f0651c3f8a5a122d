"""YAML nodes that keep their comments and their look while what they say is changed."""

from __future__ import annotations

import difflib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, SingleQuotedScalarString

from dicom_node.settings import document

__all__ = [
    "Indentation",
    "brought_to",
    "dumped",
    "indentation",
    "inline",
    "loaded",
    "node_of",
    "written",
]

_FLAT: Final = frozenset(("synthesize", "azimuth", "retry", "tls", "subject", "range"))
"""Mappings of a few scalars that people write on one line."""

_QUOTED: Final = (DoubleQuotedScalarString, SingleQuotedScalarString)
"""A text that somebody put in quotes keeps them when it changes."""

_ALWAYS_WIDE: Final = 1 << 16
"""Lines are never broken: a diff shows what was changed and nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Indentation:
    """How a file sets things below each other.

    Attributes:
        dash_column: Of a list's dashes, counted from its key.
        step: Of a mapping's keys, counted from those of the mapping around it.
    """

    dash_column: int = 2
    step: int = 2


def indentation(root: yaml.Node | None) -> Indentation:
    """What most lists and mappings of a file do; 2 and 2 where there are none."""
    dashes: Counter[int] = Counter()
    steps: Counter[int] = Counter()
    for key, value in _pairs(root):
        if not isinstance(value, yaml.CollectionNode) or value.flow_style or not value.value:
            continue
        below = value.start_mark.column - key.start_mark.column
        (dashes if isinstance(value, yaml.SequenceNode) else steps)[below] += 1
    return Indentation(dash_column=_most(dashes), step=_most(steps))


def _most(counted: Counter[int]) -> int:
    return counted.most_common(1)[0][0] if counted else 2


def _pairs(node: yaml.Node | None) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key, value
            yield from _pairs(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _pairs(item)


def _yaml(ways: Indentation) -> YAML:
    found = YAML()
    found.preserve_quotes = True
    found.width = _ALWAYS_WIDE
    found.indent(mapping=ways.step, sequence=ways.dash_column + 2, offset=ways.dash_column)
    return found


def loaded(text: str) -> Any:
    """Nodes with their comments."""
    return _yaml(Indentation()).load(text)


def dumped(node: Any, ways: Indentation) -> str:
    """The text of nodes of `loaded` or `node_of`."""
    out = io.StringIO()
    _yaml(ways).dump(node, out)
    return out.getvalue()


def written(node: Any, column: int, ways: Indentation) -> list[str]:
    """Lines of a mapping or a list whose keys or dashes stand in a column; without their ends."""
    shift = column - (ways.dash_column if isinstance(node, CommentedSeq) else 0)
    lines = dumped(node, ways).splitlines()
    return [" " * shift * bool(line) + line if shift >= 0 else line[-shift:] for line in lines]


def inline(value: Any, style: str | None) -> str:
    """The text of a value on one line.

    Args:
        value: Plain data.
        style: The quotes of a text: ``'``, ``"``, or as it needs them.
    """
    node = CommentedSeq([_flat(node_of(value))])
    if isinstance(value, str) and style is not None:
        node[0] = (SingleQuotedScalarString if style == "'" else DoubleQuotedScalarString)(value)
    node.fa.set_flow_style()
    return dumped(node, Indentation()).strip()[1:-1]


def _flat(node: Any) -> Any:
    if isinstance(node, CommentedMap | CommentedSeq):
        node.fa.set_flow_style()
        for each in node.values() if isinstance(node, CommentedMap) else node:
            _flat(each)
    return node


def node_of(value: Any, key: str = "") -> Any:
    """A new node: terms and short mappings on one line, everything else below each other."""
    if isinstance(value, dict):
        node = CommentedMap((name, node_of(each, str(name))) for name, each in value.items())
        scalar = not any(isinstance(each, dict | list) for each in value.values())
        if "attribute" in value or (key in _FLAT and _is_flat(value)) or (scalar and key == "[]"):
            node.fa.set_flow_style()
        return node
    if isinstance(value, list):
        items = CommentedSeq(node_of(each, "[]") for each in value)
        if not any(isinstance(each, dict | list) for each in value):
            items.fa.set_flow_style()
        return items
    return _scalar(value)


def _is_flat(value: dict[str, Any]) -> bool:
    return not any(isinstance(each, dict) and each for each in value.values())


def _scalar(value: Any) -> Any:
    # A text that YAML would take for a number or a truth value is one only in quotes.
    if isinstance(value, str) and not isinstance(document.plain(value), str):
        return DoubleQuotedScalarString(value)
    return value


def brought_to(node: Any, value: Any, key: str = "") -> Any:
    """The node that says this value: the same one, changed as little as can be, where it may."""
    if node == value and type(node) is not bool and type(value) is not bool:
        return node
    if isinstance(node, CommentedMap) and isinstance(value, dict):
        _bring_mapping(node, value)
        return node
    if isinstance(node, CommentedSeq) and isinstance(value, list):
        _bring_list(node, value)
        return node
    if isinstance(value, str) and isinstance(node, _QUOTED):
        return type(node)(value)
    return node if node is value else node_of(value, key)


def _bring_mapping(node: CommentedMap, value: dict[str, Any]) -> None:
    for name in [name for name in node if name not in value]:
        del node[name]
    for position, (name, each) in enumerate(value.items()):
        if name in node:
            node[name] = brought_to(node[name], each, str(name))
        else:
            node.insert(min(position, len(node)), name, node_of(each, str(name)))


def _bring_list(node: CommentedSeq, value: list[Any]) -> None:
    matcher = difflib.SequenceMatcher(
        a=[repr(_plain(each)) for each in node], b=[repr(each) for each in value], autojunk=False
    )
    for tag, a, b, c, d in reversed(matcher.get_opcodes()):
        if tag == "equal":
            continue
        shared = min(b - a, d - c)
        for offset in range(shared):
            node[a + offset] = brought_to(node[a + offset], value[c + offset], "[]")
        for place in range(b - 1, a + shared - 1, -1):
            del node[place]
        for offset in range(shared, d - c):
            node.insert(a + offset, node_of(value[c + offset], "[]"))


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {str(name): _plain(each) for name, each in node.items()}
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (str, int, float):
        if isinstance(node, kind):
            return kind(node)
    return node
