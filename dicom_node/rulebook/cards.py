"""What a configured model is: its checkpoint's own words, its digest, and the card beside it."""

from __future__ import annotations

import contextlib
import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Block", "ModelCard", "blocks_of", "card_of"]

_CARD: Final = "MODEL_CARD.md"
_HEADER_AT_MOST: Final = 1 << 26
_CARD_AT_MOST: Final = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of a card's text.

    Attributes:
        kind: ``heading``, ``paragraph``, ``list``, ``table`` or ``code``.
        lines: Of a heading, paragraph or code one text; of a list its items.
        rows: Of a table: cells, the header first.
    """

    kind: str
    lines: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model for people to look at.

    Attributes:
        name: In the configuration.
        path: Of its weights.
        digest: SHA-256 of them.
        size_bytes: Of the weights.
        facts: What the checkpoint says of itself, as pairs of words.
        blocks: Of its card; empty when none lies beside it.
    """

    name: str
    path: Path
    digest: str
    size_bytes: int
    facts: tuple[tuple[str, str], ...]
    blocks: tuple[Block, ...]

    def said(self, key: str) -> str | None:
        """What a table of its card says of a thing, as ``licence``; None when none does."""
        rows = (row for block in self.blocks for row in block.rows if len(row) == 2)
        return next((value for name, value in rows if name == key), None)


def card_of(name: str, path: Path, digest: str) -> ModelCard:
    """The card of a model; what cannot be read is left out."""
    folder = path if path.is_dir() else path.parent
    files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
    try:
        text = (folder / _CARD).read_text(encoding="utf-8")[:_CARD_AT_MOST]
    except (OSError, UnicodeDecodeError):
        text = ""
    # A card that does not name these weights is that of others in the same folder.
    about_these = digest in text or path.is_dir()
    return ModelCard(
        name=name,
        path=path,
        digest=digest,
        size_bytes=sum(each.stat().st_size for each in files if each.exists()),
        facts=() if path.is_dir() else tuple(_facts(_metadata(path))),
        blocks=blocks_of(text) if about_these else (),
    )


def _metadata(path: Path) -> dict[str, Any]:
    """Metadata of a safetensors file, read without its tensors."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _HEADER_AT_MOST:
                return {}
            found = json.loads(file.read(length)).get("__metadata__", {})
    except (OSError, ValueError, struct.error, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _facts(metadata: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    out: list[tuple[str, str]] = []
    for key, value in sorted(metadata.items()):
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, str) and value[:1] in "{[":
            with contextlib.suppress(ValueError):
                value = json.loads(value)
        if isinstance(value, dict):
            out += _facts(value, f"{name}: ")
        elif isinstance(value, list):
            if len(value) <= 12:
                out.append((name, ", ".join(map(str, value))))
        else:
            out.append((name, str(value)[:300]))
    return out


def blocks_of(text: str) -> tuple[Block, ...]:
    """The pieces of a text in Markdown, as far as cards use it; emphasis is taken away."""
    out: list[Block] = []
    paragraph: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        stripped = line.strip()
        starts = stripped.startswith(("#", "|", "- ", "```"))
        if paragraph and (not stripped or starts):
            out.append(Block(kind="paragraph", lines=(_plain(" ".join(paragraph)),)))
            paragraph = []
        if stripped.startswith("```"):
            code = []
            for inner in lines:
                if inner.strip().startswith("```"):
                    break
                code.append(inner)
            out.append(Block(kind="code", lines=("\n".join(code),)))
        elif stripped.startswith("#"):
            out.append(Block(kind="heading", lines=(_plain(stripped.lstrip("# ")),)))
        elif stripped.startswith("|"):
            _add_row(out, stripped)
        elif stripped.startswith("- "):
            item = _plain(stripped[2:])
            if out and out[-1].kind == "list" and not paragraph:
                out[-1] = Block(kind="list", lines=(*out[-1].lines, item))
            else:
                out.append(Block(kind="list", lines=(item,)))
        elif stripped and line.startswith("  ") and out and out[-1].kind == "list":
            *before, last = out[-1].lines
            out[-1] = Block(kind="list", lines=(*before, f"{last} {_plain(stripped)}"))
        elif stripped:
            paragraph.append(stripped)
    if paragraph:
        out.append(Block(kind="paragraph", lines=(_plain(" ".join(paragraph)),)))
    return tuple(out)


def _add_row(out: list[Block], line: str) -> None:
    cells = tuple(_plain(cell.strip()) for cell in line.strip("|").split("|"))
    if all(set(cell) <= set("-: ") and cell for cell in cells):
        return
    if out and out[-1].kind == "table":
        out[-1] = Block(kind="table", rows=(*out[-1].rows, cells))
    else:
        out.append(Block(kind="table", rows=(cells,)))


def _plain(text: str) -> str:
    return text.replace("**", "").replace("`", "")
