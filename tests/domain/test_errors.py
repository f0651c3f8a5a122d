"""Every error has its policy, and none says anything about a patient."""

from __future__ import annotations

import pytest

import dicom_node.domain.errors as errors
from dicom_node.domain.errors import (
    CapacityError,
    ConfigurationError,
    Disposition,
    InputError,
    LeaseLostError,
    NodeError,
    UnsupportedError,
    describe,
)
from synthesis.errors import ViewError


def below(kind: type[NodeError]) -> list[type[NodeError]]:
    return [found for sub in kind.__subclasses__() for found in (sub, *below(sub))]


CLASSES = [kind for kind in below(NodeError) if kind.__module__ == errors.__name__]


def test_all_classes_are_public() -> None:
    assert {kind.__name__ for kind in CLASSES} < set(errors.__all__)


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_has_a_disposition(kind: type[NodeError]) -> None:
    assert isinstance(kind.disposition, Disposition)


@pytest.mark.parametrize("kind", CLASSES)
def test_exactly_those_that_reject_have_a_status(kind: type[NodeError]) -> None:
    assert (kind.dimse_status is not None) == (kind.disposition is Disposition.REJECT)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_tree_in_the_docstring_is_the_tree(kind: type[NodeError]) -> None:
    lines = [line for line in (errors.__doc__ or "").splitlines() if f" {kind.__name__} " in line]
    assert len(lines) == 1
    assert kind.disposition.name in lines[0]


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        # PS3.4 table B.2-1 and PS3.7 C.5: out of resources, cannot understand, SOP class.
        (CapacityError, 0xA700, 0xA7FF),
        (InputError, 0xC000, 0xCFFF),
        (UnsupportedError, 0x0122, 0x0122),
    ],
)
def test_a_status_lies_in_the_range_the_standard_gives_its_meaning(
    kind: type[NodeError], low: int, high: int
) -> None:
    assert kind.dimse_status is not None
    assert low <= kind.dimse_status <= high


def test_a_configuration_error_holds_all_its_problems() -> None:
    error = ConfigurationError("a: wrong", "b: missing")
    assert error.problems == ("a: wrong", "b: missing")
    assert str(error) == "a: wrong\nb: missing"


@pytest.mark.parametrize("error", [LeaseLostError("it is over"), ViewError("no such view")])
def test_this_products_own_words_are_kept(error: Exception) -> None:
    assert describe(error) == str(error)


def test_of_a_foreign_error_only_its_kind_and_place_are_kept() -> None:
    try:
        int("Test^Patient")
    except ValueError as error:
        told = describe(error)
    assert told.startswith("unexpected ValueError at test_errors.py:")
    assert "Patient" not in told


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert describe(OSError(28, "/data/Test^Patient")) == "unexpected OSError"
