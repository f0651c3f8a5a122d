"""Changing values where they stand in a text: nothing else of it moves.

A value that is written on one line is replaced there, a key or an item that goes takes its lines
along, and one that comes is written below the one before it, in the way this file has. What cannot
be done so is for others to write.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from dicom_node.rulebook.yaml_nodes import Indentation, indentation, inline, node_of, written

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UnpatchableError", "patched"]


class UnpatchableError(Exception):
    """A change for which more than its own lines has to be written anew."""


def patched(
    text: str,
    root: yaml.Node,
    old: Any,
    new: Any,
    *,
    renamed: Mapping[tuple[str, ...], str],
) -> str:
    """The text with what is new in place of what is old.

    Args:
        text: YAML without anchors.
        root: Its nodes.
        old: What it says.
        new: What it shall say.
        renamed: Path of a key -> its new name.

    Raises:
        UnpatchableError: The change is not one of single values, keys and items.
    """
    writer = _Writer(
        text=text,
        eol="\r\n" if text.partition("\n")[0].endswith("\r") else "\n",
        indentation=indentation(root),
        renamed=renamed,
    )
    writer.change(root, old, new, ())
    return writer.result()


@dataclass(slots=True, kw_only=True)
class _Writer:
    """Spans of a text and what comes in their place, in the order in which they were found."""

    text: str
    eol: str
    indentation: Indentation
    renamed: Mapping[tuple[str, ...], str]
    spans: list[tuple[int, int, str]] = field(default_factory=list)

    def result(self) -> str:
        out, at = [], 0
        for start, end, text in sorted(self.spans, key=lambda each: each[:2]):
            if start < at:
                raise UnpatchableError
            out += [self.text[at:start], text]
            at = end
        return "".join((*out, self.text[at:]))

    def put(self, start: int, end: int, text: str) -> None:
        self.spans.append((start, end, text))

    def change(self, node: yaml.Node, old: Any, new: Any, path: tuple[str, ...]) -> None:
        """Bring a node from one value to another."""
        if _same(old, new):
            return
        if isinstance(node, yaml.MappingNode) and isinstance(new, dict) and new:
            keys = [(name, key, value) for name, (key, value) in zip(old, node.value, strict=True)]
            if node.flow_style:
                self._flow_mapping(node, keys, old, new, path)
            else:
                self._block_mapping(keys, old, new, path)
        elif isinstance(node, yaml.SequenceNode) and isinstance(new, list) and new:
            pairs = _paired(old, new)
            if node.flow_style:
                self._flow_list(node, pairs, old, new, path)
            else:
                self._block_list(node, pairs, old, new, path)
        elif _is_inline(node):
            style = node.style if isinstance(node, yaml.ScalarNode) else None
            if style not in (None, "'", '"') or node.start_mark.index == node.end_mark.index:
                raise UnpatchableError
            self.put(node.start_mark.index, node.end_mark.index, inline(new, style))
        else:
            raise UnpatchableError

    # Below each other.

    def _block_mapping(
        self,
        keys: list[tuple[str, yaml.Node, yaml.Node]],
        old: dict[str, Any],
        new: dict[str, Any],
        path: tuple[str, ...],
    ) -> None:
        column = keys[0][1].start_mark.column
        above: yaml.Node | None = None
        ends: dict[str, yaml.Node] = {}
        for name, key, value in keys:
            called = self.renamed.get((*path, name), name)
            if called not in new:
                self._take_lines(key, value)
                continue
            if called != name:
                self.put(key.start_mark.index, key.end_mark.index, inline(called, None))
            self._value(key, value, old[name], new[called], (*path, name))
            ends[called] = above = value
        if above is None:
            raise UnpatchableError
        last = above
        for name, value in new.items():
            if name in ends:
                last = ends[name]
            else:
                lines = self._lines(CommentedMap({name: node_of(value, name)}), column)
                self._add_below(last, lines)

    def _value(
        self, key: yaml.Node, node: yaml.Node, old: Any, new: Any, path: tuple[str, ...]
    ) -> None:
        """Change the value of a key, also into one that is written in another way."""
        if _same(old, new):
            return
        below = _goes_below(new, path[-1])
        if _is_inline(node) and below and _depth(new) > max(1, _depth(old)):
            start = node.start_mark.index
            while self.text[start - 1] == " ":
                start -= 1
            self.put(start, node.end_mark.index, "")
            whole = CommentedMap({path[-1]: node_of(new, path[-1])})
            self._add_below(node, self._lines(whole, key.start_mark.column)[1:])
        elif not _is_inline(node) and not below and type(old) is not type(new):
            after = self.text.index(":", key.end_mark.index) + 1
            self.put(after, _end(node), " " + inline(new, None))
        else:
            self.change(node, old, new, path)

    def _block_list(
        self,
        node: yaml.SequenceNode,
        pairs: list[tuple[int | None, int | None]],
        old: list[Any],
        new: list[Any],
        path: tuple[str, ...],
    ) -> None:
        last: yaml.Node | None = None
        column = node.start_mark.column
        for was, becomes in pairs:
            if was is None:
                assert becomes is not None
                if last is None:
                    raise UnpatchableError
                lines = self._lines(CommentedSeq([node_of(new[becomes], "[]")]), column)
                self._add_below(last, lines)
                continue
            item = node.value[was]
            if becomes is None:
                self._take_lines(self._dash(item, column), item)
                continue
            self._item(item, old[was], new[becomes], path)
            last = item

    def _item(self, node: yaml.Node, old: Any, new: Any, path: tuple[str, ...]) -> None:
        if _is_inline(node) and _goes_below(new, "[]") and _depth(new) > max(1, _depth(old)):
            column = node.start_mark.column - 2
            lines = self._lines(CommentedSeq([node_of(new, "[]")]), column)
            self.put(node.start_mark.index, node.end_mark.index, self.eol.join(lines)[column + 2 :])
        else:
            self.change(node, old, new, (*path, "[]"))

    def _dash(self, item: yaml.Node, column: int) -> yaml.Node:
        mark = item.start_mark
        line = self.text[mark.index - mark.column : mark.index]
        if line[column : column + 1] != "-" or line.replace("-", "", 1).strip():
            raise UnpatchableError
        return item

    def _take_lines(self, first: yaml.Node, last: yaml.Node) -> None:
        """Take whole lines away; what stands before on the first one must be room or a dash."""
        mark = first.start_mark
        before = self.text[mark.index - mark.column : mark.index]
        if before.strip(" ") and first is not last:
            raise UnpatchableError  # the first key of an item, behind its dash
        self.put(mark.index - mark.column, self._line_end(_end(last)), "")

    def _add_below(self, node: yaml.Node, lines: list[str]) -> None:
        at = self._line_end(_end(node))
        missing = "" if self.text[:at].endswith("\n") else self.eol
        self.put(at, at, missing + "".join(line + self.eol for line in lines))

    def _line_end(self, index: int) -> int:
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1

    def _lines(self, node: Any, column: int) -> list[str]:
        return written(node, column, self.indentation)

    # Between braces and brackets.

    def _flow_mapping(
        self,
        node: yaml.MappingNode,
        keys: list[tuple[str, yaml.Node, yaml.Node]],
        old: dict[str, Any],
        new: dict[str, Any],
        path: tuple[str, ...],
    ) -> None:
        if old.keys() == new.keys():
            for name, _, value in keys:
                self.change(value, old[name], new[name], (*path, name))
            return
        nodes = {name: (key, value) for name, key, value in keys}
        order = [name for name in old if name in new]
        for place, name in enumerate(new):
            if name not in old:
                order.insert(min(place, len(order)), name)
        pieces = []
        for name in order:
            if name not in nodes:
                pieces.append(f"{inline(name, None)}: {inline(new[name], None)}")
                continue
            key, value = nodes[name]
            span = (key.start_mark.index, value.end_mark.index)
            pieces.append(self._within(span, value, old[name], new[name], (*path, name)))
        places = [(key.start_mark.index, value.end_mark.index) for _, key, value in keys]
        self._between(node, places, pieces)

    def _flow_list(
        self,
        node: yaml.SequenceNode,
        pairs: list[tuple[int | None, int | None]],
        old: list[Any],
        new: list[Any],
        path: tuple[str, ...],
    ) -> None:
        places = [(item.start_mark.index, item.end_mark.index) for item in node.value]
        pieces = [
            inline(new[becomes], None)
            if was is None
            else self._within(places[was], node.value[was], old[was], new[becomes], (*path, "[]"))
            for was, becomes in pairs
            if becomes is not None
        ]
        self._between(node, places, pieces)

    def _within(
        self, place: tuple[int, int], node: yaml.Node, old: Any, new: Any, path: tuple[str, ...]
    ) -> str:
        """Text of a part that stays between the braces, changed."""
        start, end = place
        inner = _Writer(
            text=self.text, eol=self.eol, indentation=self.indentation, renamed=self.renamed
        )
        inner.change(node, old, new, path)
        grown = sum(len(text) - (b - a) for a, b, text in inner.spans)
        return inner.result()[start : end + grown]

    def _between(
        self, node: yaml.CollectionNode, places: list[tuple[int, int]], pieces: list[str]
    ) -> None:
        """Write the parts of a flow collection with the braces and commas it has."""
        start, end = node.start_mark.index, node.end_mark.index
        whole = self.text[start:end]
        opening, closing, comma = whole[:1], whole[-1:], ", "
        if places:
            opening = self.text[start : places[0][0]]
            closing = self.text[places[-1][1] : end]
        if len(places) > 1:
            comma = self.text[places[0][1] : places[1][0]]
        if "#" in opening + closing + comma:
            raise UnpatchableError
        self.put(start, end, opening + comma.join(pieces) + closing)


def _goes_below(value: Any, key: str) -> bool:
    """Whether a new value of a key is written on lines of its own."""
    node = node_of(value, key)
    return isinstance(node, CommentedMap | CommentedSeq) and not node.fa.flow_style()


def _depth(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return 0
    return 1 + max((_depth(each) for each in below), default=0)


def _is_inline(node: yaml.Node) -> bool:
    return not isinstance(node, yaml.CollectionNode) or bool(node.flow_style)


def _end(node: yaml.Node) -> int:
    """Where the last character of a node is; a block's own mark is where the next one begins."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return int(node.end_mark.index)


def _same(old: Any, new: Any) -> bool:
    return _said(old) == _said(new)


def _said(value: Any) -> str:
    """A value in a form that tells 1 from true and does not mind the order of keys."""
    if isinstance(value, dict):
        return repr(sorted((repr(name), _said(each)) for name, each in value.items()))
    if isinstance(value, list):
        return repr([_said(each) for each in value])
    return repr(value)


def _paired(old: list[Any], new: list[Any]) -> list[tuple[int | None, int | None]]:
    """Which item became which; an item that is only gone or only new has no other."""
    matcher = difflib.SequenceMatcher(
        a=[_said(each) for each in old], b=[_said(each) for each in new], autojunk=False
    )
    found: list[tuple[int | None, int | None]] = []
    for _, a, b, c, d in matcher.get_opcodes():
        shared = min(b - a, d - c)
        found += [(a + each, c + each) for each in range(shared)]
        found += [(each, None) for each in range(a + shared, b)]
        found += [(None, each) for each in range(c + shared, d)]
    return found
