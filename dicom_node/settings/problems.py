"""What is wrong with a configuration, in words that say where and what to do."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

__all__ = ["REFERENCES", "Location", "Problem", "did_you_mean", "problems_of"]

Location = tuple[str | int, ...]
"""Keys and positions from the top of the configuration."""

REFERENCES = "references"
"""Error type of the cross checks, which `load` reports one by one instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        location: Where.
        message: What, and what to do.
        line: Of the file, from 1; None when it is not known.
    """

    location: Location
    message: str
    line: int | None = None

    @property
    def path(self) -> str:
        """The location as people write it, e.g. ``routes[0].when.all[1].matches``."""
        text = ""
        for part in self.location:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
        return text

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.location else self.message


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """A suggestion to append to a message; empty when nothing is near.

    Args:
        word: As written.
        known: What could have been written.
        otherwise: If nothing is near, list all that is known after these words.
    """
    words = list(known)
    folded = {each.casefold(): each for each in reversed(words)}
    near = difflib.get_close_matches(word.casefold(), list(folded), n=1, cutoff=0.6)
    if near:
        return f": did you mean {folded[near[0]]}?"
    return f": {otherwise} {', '.join(words)}" if otherwise and words else ""


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Every problem pydantic found, reworded; cross checks are left to the caller.

    A list whose items are wrong also counts as too short to pydantic; that is not repeated.
    """
    errors = error.errors(include_url=False)
    return [
        Problem(location=_location(each), message=_message(each, model))
        for each in errors
        if each["type"] != REFERENCES and not (each["type"] == "too_short" and each["input"])
    ]


def _location(error: ErrorDetails) -> Location:
    # pydantic marks a bad mapping key with an extra part; the key itself is where it is.
    return tuple(part for part in error["loc"] if part != "[key]")


def _message(error: ErrorDetails, model: type[BaseModel]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    match kind:
        case "missing":
            return f"is missing{_described(model, _location(error))}"
        case "extra_forbidden":
            *parent, key = _location(error)
            known = _keys_at(model, tuple(parent))
            return f"unknown key{did_you_mean(str(key), known, otherwise='known here are')}"
        case "value_error":
            return str(context["error"])
        case "enum" | "literal_error":
            expected = str(context["expected"])
            known = [word.strip("' ") for word in expected.replace(" or ", ",").split(",")]
            given = error["input"]
            return f"{given!r} is none of {expected}{did_you_mean(str(given), known)}"
        case "too_short":
            return "is empty: give at least one"
        case "int_type" | "float_type" | "bool_type":
            wanted = {"int": "a whole number", "float": "a number", "bool": "true or false"}
            quotes = " without quotes" if isinstance(error["input"], str) else ""
            return (
                f"should be {wanted[kind.removesuffix('_type')]}{quotes}, "
                f"not {_shown(error['input'])}"
            )
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"should be a mapping (key: value), not {_shown(error['input'])}"
        case "tuple_type" | "list_type":
            return f"should be a list, not {_shown(error['input'])}"
        case _:
            said = error["msg"].replace("Input should be", "should be", 1)
            return f"{said}, not {_shown(error['input'])}"


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case Mapping():
            return "a mapping"
        case bool():
            return str(value).lower()
        case str():
            return repr(value)
        case Sequence():
            return "a list"
        case _:
            return str(value)


def _described(model: type[BaseModel], location: Location) -> str:
    parent = _model_at(model, location[:-1])
    field = parent.model_fields.get(str(location[-1])) if parent is not None else None
    if field is None or not field.description:
        return ""
    return f": {' '.join(field.description.split())}"


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    found = _model_at(model, location)
    return list(found.model_fields) if found is not None else []


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """The model whose keys stand at a location; None when it is not a model."""
    here: Any = model
    for part in location:
        here = _model_in(here)
        if here is None:
            return None
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(part))
            if field is None:
                return None
            here = field.annotation
        else:
            here = typing.get_args(here)[1 if isinstance(part, str) else 0]
    found = _model_in(here)
    return found if isinstance(found, type) else None


def _model_in(annotation: Any) -> Any:
    """The model, list or mapping an annotation is about, past ``| None`` and metadata."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        inner = [_model_in(each) for each in typing.get_args(annotation)]
        return next((each for each in inner if each is not None), None)
    if origin is typing.Annotated:
        return _model_in(typing.get_args(annotation)[0])
    if origin is not None:
        return annotation
    return (
        annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    )
