"""The routing predicate as it is written in a configuration."""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import ConfigDict, Field, model_validator

from dicom_node.domain import rules
from dicom_node.settings.fields import Attribute, Expression, Flag, Number, Section, Text

__all__ = ["PredicateSettings", "RangeSettings"]

LEAVES: Final = ("equals", "one_of", "matches", "range", "present")
BRANCHES: Final = ("all", "any", "none")


class RangeSettings(Section):
    """Ends of a range, both included; a missing end is open. Ages count in years."""

    at_least: Number | None = None
    """Smallest value that holds."""
    at_most: Number | None = None
    """Largest value that holds."""

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"at_least {self.at_least:g} is above at_most {self.at_most:g}: swap them"
            )
        return self


def _one_predicate(schema: dict[str, Any]) -> None:
    schema["oneOf"] = [
        *({"required": ["attribute", leaf]} for leaf in LEAVES),
        *({"required": [branch], "not": {"required": ["attribute"]}} for branch in BRANCHES),
    ]


class PredicateSettings(Section):
    """One term about one attribute, or a group of predicates. Exactly one kind is given.

    Text is compared without regard to case or surrounding spaces; an attribute with several values
    satisfies a term when any of them does.
    """

    model_config = ConfigDict(json_schema_extra=_one_predicate)

    attribute: Attribute | None = None
    """DICOM keyword the term is about."""
    equals: Text | None = None
    """A value is this text."""
    one_of: tuple[Text, ...] | None = Field(default=None, min_length=1)
    """A value is one of these texts."""
    matches: Expression | None = None
    """This regular expression is found in a value, without regard to case."""
    range: RangeSettings | None = None
    """A value is a number between these ends."""
    present: Flag | None = None
    """true: the attribute has a value; false: it has none."""
    all: tuple[PredicateSettings, ...] | None = None
    """Every part holds. Without parts it holds for every image."""
    any: tuple[PredicateSettings, ...] | None = Field(default=None, min_length=1)
    """At least one part holds."""
    none: tuple[PredicateSettings, ...] | None = Field(default=None, min_length=1)
    """No part holds."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        leaves = [key for key in LEAVES if getattr(self, key) is not None]
        branches = [key for key in BRANCHES if getattr(self, key) is not None]
        kinds = leaves + branches
        if len(kinds) > 1:
            raise ValueError(
                f"{' and '.join(kinds)} stand in one predicate: give each its own, in all or any"
            )
        if branches and self.attribute is not None:
            raise ValueError(f"{branches[0]} is a group and has no attribute: put it in the parts")
        if leaves and self.attribute is None:
            raise ValueError(f"{leaves[0]} needs an attribute")
        if not kinds:
            what = "an attribute needs" if self.attribute is not None else "a predicate needs"
            words = LEAVES if self.attribute is not None else LEAVES + BRANCHES
            raise ValueError(f"{what} one of {', '.join(words)}")
        return self

    def to_domain(self) -> rules.Predicate:
        """The same predicate as a value of the domain."""
        if self.all is not None:
            return rules.AllOf(parts=tuple(part.to_domain() for part in self.all))
        if self.any is not None:
            return rules.AnyOf(parts=tuple(part.to_domain() for part in self.any))
        if self.none is not None:
            return rules.NoneOf(parts=tuple(part.to_domain() for part in self.none))
        attribute = self.attribute or ""  # never empty here: see _one_kind
        if self.equals is not None:
            return rules.Equals(attribute=attribute, equals=self.equals)
        if self.one_of is not None:
            return rules.OneOf(attribute=attribute, one_of=self.one_of)
        if self.matches is not None:
            return rules.Matches(attribute=attribute, matches=self.matches)
        if self.range is not None:
            return rules.Range(
                attribute=attribute, at_least=self.range.at_least, at_most=self.range.at_most
            )
        return rules.Present(attribute=attribute, present=bool(self.present))
