"""How a page joins the console: a `Section` with its router and its place in the navigation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.domain.accounts import Role

if TYPE_CHECKING:
    from fastapi import APIRouter

    from dicom_node.domain.accounts import Identity

__all__ = ["Entry", "Section", "entries_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A link of the navigation.

    Attributes:
        title: One or two words.
        path: Of the page, without the root path.
        order: Entries are shown in this order.
        role: Who sees it.
    """

    title: str
    path: str
    order: int
    role: Role = Role.VIEWER

    def leads_to(self, path: str) -> bool:
        """Whether a page belongs to this entry."""
        return path == self.path or (self.path != "/" and path.startswith(f"{self.path}/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the console.

    Attributes:
        name: For people who read the code.
        router: Its pages. Whatever is no GET is protected against forgery for all of them.
        entries: Its links in the navigation.
        public: Paths that need no login.
        uploads: Path -> most bytes of a request's body where pages take more than a form.
    """

    name: str
    router: APIRouter
    entries: tuple[Entry, ...] = ()
    public: frozenset[str] = frozenset()
    uploads: tuple[tuple[str, int], ...] = ()


def entries_for(sections: tuple[Section, ...], identity: Identity | None) -> tuple[Entry, ...]:
    """The links somebody sees, in order."""
    if identity is None:
        return ()
    found = [entry for section in sections for entry in section.entries]
    return tuple(
        sorted(
            (entry for entry in found if identity.role.allows(entry.role)),
            key=lambda entry: entry.order,
        )
    )
