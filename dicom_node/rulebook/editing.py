"""Writing an edit into the text of a configuration; all that it is not about stays byte for byte.

What changes in a thing is changed where it stands. Where that cannot be, and for things that
come, go or move, a section is taken as blocks of lines: the thing is written anew with its
comments, a new one is put behind the others, the rest is moved or left as it stands. Where a
section is written in another way (on one line, with anchors) the whole text is written anew by a
round trip that keeps comments and order. Whatever was done, the text is read again and must say
exactly what was meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from ruamel.yaml.error import YAMLError

from dicom_node.domain.errors import ConfigurationError
from dicom_node.rulebook.edits import LISTS, MAPPINGS, Edit, Put, Switch, after, names_in
from dicom_node.rulebook.patching import UnpatchableError, patched
from dicom_node.rulebook.yaml_nodes import (
    Indentation,
    brought_to,
    dumped,
    indentation,
    loaded,
    node_of,
    written,
)
from dicom_node.settings import document

__all__ = ["edited"]

_NAME: Final = Path("configuration")


class _NoBlocksError(Exception):
    """A section is not written as blocks of lines."""


def edited(text: str, edit: Edit) -> str:
    """The text with an edit made.

    Raises:
        ConfigurationError: The text is not YAML, the edit does not fit to it, or it cannot be
            written into this text without changing more.
    """
    read = document.parse(text, _NAME)
    if not isinstance(read.data, dict):
        raise ConfigurationError("the file is no mapping of sections: edit it as text")
    wanted = after(read.data, edit)
    if wanted == read.data:
        return text
    for way in (_in_place, _by_blocks, _by_round_trip):
        try:
            found = way(text, read, wanted, edit)
            if document.parse(found, _NAME).data == wanted:
                return found
        except (_NoBlocksError, UnpatchableError, YAMLError, ConfigurationError):
            continue
    raise ConfigurationError(
        "this change cannot be written into the file without changing more: edit it as text"
    )


def _in_place(text: str, read: document.Document, wanted: dict[str, Any], edit: Edit) -> str:
    if not (isinstance(edit, Switch) or (isinstance(edit, Put) and edit.name)):
        raise UnpatchableError
    if _has_anchors(text) or read.root is None:
        raise UnpatchableError
    renamed: dict[tuple[str, ...], str] = {}
    if isinstance(edit, Put):
        renamed[edit.section, edit.name] = edit.new_name
    return patched(text, read.root, read.data, wanted, renamed=renamed)


def _by_round_trip(text: str, read: document.Document, wanted: dict[str, Any], edit: Edit) -> str:
    whole = loaded(text)
    for section in (*LISTS, *MAPPINGS):
        if section in wanted and wanted[section] != read.data.get(section):
            if section in whole:
                whole[section] = brought_to(whole[section], wanted[section], section)
            else:
                whole[section] = node_of(wanted[section], section)
    return dumped(whole, indentation(read.root))


def _by_blocks(text: str, read: document.Document, wanted: dict[str, Any], edit: Edit) -> str:
    renamed = {edit.new_name: edit.name} if isinstance(edit, Put) and edit.name else {}
    section_of = edit.section if isinstance(edit, Put) else ""
    # From the end to the beginning, so that line numbers of what is above stay what they are.
    changed = [
        (name, blocks)
        for name in (*LISTS, *MAPPINGS)
        if wanted.get(name) != read.data.get(name)
        or names_in(wanted, name) != names_in(read.data, name)
        for blocks in [_blocks(text, read, name)]
    ]
    if any(blocks is None for _, blocks in changed):
        raise _NoBlocksError
    lines = text.splitlines(keepends=True)
    for name, blocks in sorted(changed, key=lambda each: -(each[1].first if each[1] else 0)):
        assert blocks is not None
        old_of = renamed if name == section_of else {}
        old, new = _by_name(read.data, name), _by_name(wanted, name)
        if not new:
            raise _NoBlocksError
        pieces = [
            blocks.piece(
                lines, each, old.get(old_of.get(each, each)), value, old_of.get(each, each)
            )
            for each, value in new.items()
        ]
        lines[blocks.first : blocks.end] = [line for piece in pieces for line in piece]
    return "".join(lines)


def _by_name(data: dict[str, Any], section: str) -> dict[str, Any]:
    content = data.get(section) or ()
    if section in MAPPINGS:
        return dict(content)
    return {str(item.get("name", "")): item for item in content}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blocks:
    """A section whose things are blocks of lines.

    Attributes:
        first: Line, from 0, of the first block.
        end: Line after the last one.
        spans: Name -> (line of its comments, line of itself, line after it).
        is_list: Or a mapping.
        column: Of the dashes or of the keys.
        ways: How the file sets things below each other.
        eol: Line end.
    """

    first: int
    end: int
    spans: dict[str, tuple[int, int, int]]
    is_list: bool
    column: int
    ways: Indentation
    eol: str

    def piece(self, lines: list[str], name: str, old: Any, value: Any, old_name: str) -> list[str]:
        """Lines of one thing."""
        if old is None or old_name not in self.spans:
            return self._written(node_of([value] if self.is_list else {name: value}))
        start, itself, end = self.spans[old_name]
        if old == value and name == old_name:
            return _ended(lines[start:end], self.eol)
        body = "".join(lines[itself:end])
        node = loaded(body)
        if self.is_list:
            node[0] = brought_to(node[0], value)
        elif name != old_name:
            kept = brought_to(node[old_name], value)
            node.insert(0, name, kept)
            del node[old_name]
        else:
            node[name] = brought_to(node[name], value)
        return [*lines[start:itself], *self._written(node)]

    def _written(self, node: Any) -> list[str]:
        return [line.rstrip() + self.eol for line in written(node, self.column, self.ways)]


def _ended(lines: list[str], eol: str) -> list[str]:
    if lines and not lines[-1].endswith("\n"):
        return [*lines[:-1], lines[-1] + eol]
    return lines


def _blocks(text: str, read: document.Document, section: str) -> _Blocks | None:
    """A section as blocks; None when it is not written so."""
    node = _section(read.root, section)
    is_list = isinstance(node, yaml.SequenceNode)
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return None
    lines = text.splitlines(keepends=True)
    if len(lines) != text.count("\n") + (not text.endswith("\n")):
        return None  # a line end that YAML does not know
    starts = [(each if is_list else each[0]).start_mark.line for each in node.value]
    column = len(lines[starts[0]]) - len(lines[starts[0]].lstrip(" "))
    for start in starts:
        line = lines[start]
        if len(line) - len(line.lstrip(" ")) != column:
            return None
        if is_list and not line.lstrip(" ").startswith("- "):
            return None
    if _has_anchors(text):
        return None
    names = names_in(read.data, section)
    if len(names) != len(starts) or len(set(names)) != len(names):
        return None
    above = _section_line(read.root, section) + 1
    first = min(above, starts[0])
    tops = [first, *(_with_comments(lines, start, column) for start in starts[1:])]
    end = _last_line(lines, starts[-1], node.end_mark.line, column) + 1
    spans = {
        name: (top, start, below)
        for name, top, start, below in zip(names, tops, starts, [*tops[1:], end], strict=True)
    }
    return _Blocks(
        first=first,
        end=end,
        spans=spans,
        is_list=is_list,
        column=column,
        ways=indentation(read.root),
        eol="\r\n" if lines[0].endswith("\r\n") else "\n",
    )


def _has_anchors(text: str) -> bool:
    """Whether one block may lead to another."""
    # Expressions have these characters too, so the text is looked at closely only with both.
    return ("&" in text and "*" in text) and any(
        isinstance(token, yaml.AnchorToken | yaml.AliasToken) for token in yaml.scan(text)
    )


def _section(root: yaml.Node | None, section: str) -> yaml.Node | None:
    if isinstance(root, yaml.MappingNode) and not root.flow_style:
        for key, value in root.value:
            if key.value == section:
                return value  # type: ignore[no-any-return]
    return None


def _section_line(root: yaml.Node | None, section: str) -> int:
    assert isinstance(root, yaml.MappingNode)
    return int(next(key.start_mark.line for key, _ in root.value if key.value == section))


def _with_comments(lines: list[str], start: int, column: int) -> int:
    """The line from which a block's own comments begin: those right above it, at its column."""
    while start > 0:
        line = lines[start - 1]
        stripped = line.lstrip(" ")
        if not stripped.startswith("#") or len(line) - len(stripped) > column:
            break
        start -= 1
    return start


def _last_line(lines: list[str], start: int, end: int, column: int) -> int:
    """The last line of the last block: what is written further to the right belongs to it."""
    last = start
    for number in range(start, min(end + 1, len(lines))):
        line = lines[number]
        stripped = line.lstrip(" ")
        indent = len(line) - len(stripped)
        if stripped.strip() and indent > column:
            last = number
        elif number > start and stripped.strip():
            break
    return last
