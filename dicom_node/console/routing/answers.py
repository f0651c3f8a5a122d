"""What programs are told after the file was written, or was not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import Path, Query

from dicom_node.console.errors import answers
from dicom_node.console.failures import ConflictError, RejectedError
from dicom_node.console.routing import changing, shapes
from dicom_node.domain.errors import ConfigurationError
from dicom_node.rulebook.book import Conflict, Invalid, Written
from dicom_node.rulebook.edits import NOUNS, Put, Remove

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request

    from dicom_node.domain.accounts import Identity
    from dicom_node.rulebook.edits import Edit
    from dicom_node.settings.problems import Problem

__all__ = ["ANSWERS", "Name", "Since", "done", "edit", "not_valid", "put", "remove"]

ANSWERS: Final = answers(
    {
        409: "Somebody changed the file meanwhile; ``merged`` has both changes.",
        422: "Not understood, or no configuration; ``problems`` says what is wrong with it.",
        503: "The ledger does not answer, or the engine is busy.",
    }
)
"""Of what reads or writes the configuration, for its OpenAPI."""

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Since = Annotated[str, Query(max_length=64, description="Digest of the text; left out, of now.")]


def put(section: str, name: str, keys: Mapping[str, Any]) -> Put:
    """Make or change a thing; with another name in its keys, rename it.

    Args:
        section: Of the file.
        name: Of the thing so far; empty for a new one.
        keys: As they are to stand in the file.
    """
    value = dict(keys)
    new_name = str(value.pop("name", name))
    return Put(section=section, name=name, new_name=new_name, value=value)


def edit(request: Request, who: Identity, change: Edit, wanted: shapes.Why) -> shapes.Done:
    """Make an edit in the file and put it in force.

    Args:
        request: To answer.
        who: Asks.
        change: To make.
        wanted: On which text, and what for.

    Raises:
        NotFoundError: There is no such thing in the file.
        ConflictError: Somebody changed the file meanwhile.
        RejectedError: What would come of it is no configuration.
    """
    book = changing.desk_of(request).book
    found = changing.opening(book)
    base = wanted.base or found.digest
    section = change.section if isinstance(change, Put | Remove) else "routes"
    if change.name and base == found.digest:
        found.require(section, change.name)
    name = change.name or (change.new_name if isinstance(change, Put) else "")
    comment = wanted.comment or f"{NOUNS[section]} {name}"[:200]
    try:
        return done(changing.change(book, change, base=base, author=who.name, comment=comment))
    except ConfigurationError as error:
        raise RejectedError(str(error)) from None


def remove(request: Request, who: Identity, section: str, name: str, base: str) -> shapes.Done:
    """Take a thing out of the file; as `edit`."""
    change = Remove(section=section, name=name)
    return edit(request, who, change, shapes.Why(base=base, comment=f"without {name}"))


def done(found: Written | Invalid | Conflict) -> shapes.Done:
    """What came of it.

    Raises:
        ConflictError: Somebody changed the file meanwhile.
        RejectedError: The text is no configuration.
    """
    match found:
        case Written(version=version):
            return shapes.Done(version=version)
        case Invalid(problems=problems):
            raise not_valid(problems)
        case Conflict(digest=digest, merged=merged, problems=problems):
            raise ConflictError(
                "The file has changed meanwhile, so nothing was written: compare, write again.",
                more={
                    "digest": digest,
                    "merged": None if merged is None else merged.text,
                    "clashes": None if merged is None else merged.clashes,
                    "problems": [shapes.problem_out(each).model_dump() for each in problems],
                },
            )


def not_valid(problems: tuple[Problem, ...]) -> RejectedError:
    """A text that is no configuration."""
    return RejectedError(
        "; ".join(str(each) for each in problems[:10]),
        more={"problems": [shapes.problem_out(each).model_dump() for each in problems]},
    )
