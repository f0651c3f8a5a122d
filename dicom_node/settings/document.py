"""A YAML text as plain data that remembers on which line everything stood.

Scalars are read by the core schema of YAML 1.2, not by YAML 1.1: ``equals: NO`` is the text NO and
``22:30`` is no number; neither is ``007``, whose zeros would be lost. A key that stands twice is an
error, not a silent loss of the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from dicom_node.domain.errors import ConfigurationError
from dicom_node.settings.problems import Location, Problem

__all__ = ["Document", "parse", "plain", "read", "read_text"]

_RESOLVERS: Final = (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", "~nN\0"),
    ("tag:yaml.org,2002:int", r"[-+]?(0|[1-9][0-9]*)", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
)


class _CoreLoader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in _RESOLVERS:
    _CoreLoader.add_implicit_resolver(
        _tag, re.compile(f"^(?:{_pattern})$"), [c.replace("\0", "") for c in _first]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A YAML text, read.

    Attributes:
        data: Plain mappings, lists and scalars.
        root: The same as YAML nodes; None when the text is empty.
    """

    data: Any
    root: yaml.Node | None

    def line(self, location: Location) -> int | None:
        """The line, from 1, on which a location or its nearest parent stands."""
        node, mark = self.root, None
        for part in location:
            child = _child(node, part)
            if child is None:
                break
            mark, node = child
        return mark.line + 1 if mark is not None else None

    def located(self, problem: Problem) -> str:
        """A problem in words, with its line."""
        line = self.line(problem.location)
        return f"{problem} (line {line})" if line is not None else str(problem)


def read_text(path: Path) -> str:
    """The text of a configuration file, line ends as they are.

    Raises:
        ConfigurationError: It is not there or not text.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: is not UTF-8 text ({error.reason})") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read ({error.strerror})") from error


def read(path: Path) -> Document:
    """Read a configuration file.

    Raises:
        ConfigurationError: It is not there, not text, not YAML, or holds a key twice.
    """
    return parse(read_text(path), path)


def parse(text: str, path: Path) -> Document:
    """Read the text of a configuration.

    Args:
        text: YAML.
        path: Where it lies or will lie, for messages.

    Raises:
        ConfigurationError: It is not YAML, or holds a key twice.
    """
    try:
        loader = _CoreLoader(text)
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise ConfigurationError(f"{path}: is not YAML ({error})") from None
    try:
        root = loader.get_single_node()
        if root is None:
            return Document(data=None, root=None)
        doubled = [f"{path}: {each}" for each in _doubled_keys(root)]
        if doubled:
            raise ConfigurationError(*doubled)
        return Document(data=loader.construct_document(root), root=root)
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError(f"{path}: {_syntax(error)}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: is not YAML ({error})") from None
    finally:
        loader.dispose()


def plain(text: str) -> Any:
    """What a plain scalar of this text would be read as."""
    loader = _CoreLoader("")
    try:
        tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return loader.construct_object(yaml.ScalarNode(tag, text))
    finally:
        loader.dispose()


def _syntax(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
    context = f" ({error.context})" if error.context else ""
    return f"{where}{error.problem}{context}"


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark, node.value[part]
    return None


def _doubled_keys(
    node: yaml.Node, path: Location = (), above: tuple[yaml.Node, ...] = ()
) -> Iterator[str]:
    if any([node is each for each in above]):  # an alias of what it stands in
        return
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            name = str(key.value)
            line = key.start_mark.line + 1
            if name in first and name != "<<":
                problem = Problem(
                    location=(*path, name),
                    message=f"stands twice, on lines {first[name]} and {line}: remove one",
                )
                yield str(problem)
            first.setdefault(name, line)
            yield from _doubled_keys(value, (*path, name), above)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _doubled_keys(value, (*path, position), above)
