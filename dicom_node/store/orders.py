"""Orders and terms as canonical JSON, written out field by field.

The JSON is read by later versions of the node, so it is spelled here and not derived from a class:
renaming a field of a type must not change what old rows mean.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dicom_node.domain.errors import IntegrityError
from dicom_node.domain.identifiers import canonical_json
from dicom_node.domain.jobs import Order, Target
from dicom_node.domain.routes import Term
from dicom_node.domain.writing import Document, Form, Matrix
from synthesis.errors import ViewError
from synthesis.types import SeenFrom, View, ViewSet

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["order_from_json", "order_to_json", "terms_from_json", "terms_to_json"]


def order_to_json(order: Order) -> str:
    """One text per order."""
    # What later versions ask for is written only where it is asked for: old texts stay as they are.
    asked: dict[str, float | bool] = {}
    if order.min_consistency is not None:
        asked["min_consistency"] = order.min_consistency
    if order.allow_ineligible:
        asked["allow_ineligible"] = True
    return canonical_json(
        {
            "route": order.route,
            "route_digest": order.route_digest,
            "model": order.model,
            "weights_digest": order.weights_digest,
            "views": {"name": order.views.name, "views": [_view_to(view) for view in order.views]},
            "samples": order.samples,
            "steps": order.steps,
            "seed": order.seed,
            "targets": [_target_to(target) for target in order.targets],
            "priority": order.priority,
            **asked,
        }
    )


def order_from_json(text: str) -> Order:
    """The order of `order_to_json`.

    Raises:
        IntegrityError: The text is not an order.
    """
    try:
        value = json.loads(text)
        return Order(
            route=value["route"],
            route_digest=value["route_digest"],
            model=value["model"],
            weights_digest=value["weights_digest"],
            views=ViewSet(
                name=value["views"]["name"],
                views=tuple(_view_from(view) for view in value["views"]["views"]),
            ),
            samples=value["samples"],
            steps=value["steps"],
            seed=value["seed"],
            targets=tuple(_target_from(target) for target in value["targets"]),
            priority=value["priority"],
            min_consistency=value.get("min_consistency"),
            allow_ineligible=value.get("allow_ineligible", False),
        )
    except (KeyError, TypeError, ValueError, ViewError) as error:
        raise IntegrityError("a row of the ledger holds an order that cannot be read") from error


def _target_to(target: Target) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if target.matrix is not Matrix.NATIVE:
        asked["matrix"] = target.matrix.value
    if target.documents:
        asked["documents"] = [document.value for document in target.documents]
    return {
        "destination": target.destination,
        "form": target.form.value,
        "banner": target.banner,
        **asked,
    }


def _target_from(value: dict[str, Any]) -> Target:
    return Target(
        destination=value["destination"],
        form=Form(value["form"]),
        banner=value["banner"],
        matrix=Matrix(value.get("matrix", Matrix.NATIVE)),
        documents=tuple(Document(name) for name in value.get("documents", ())),
    )


def terms_to_json(terms: Sequence[Term]) -> str:
    """One text per sequence of terms."""
    return canonical_json(
        [
            {
                "route": term.route,
                "path": term.path,
                "text": term.text,
                "actual": term.actual,
                "holds": term.holds,
            }
            for term in terms
        ]
    )


def terms_from_json(text: str) -> tuple[Term, ...]:
    """The terms of `terms_to_json`.

    Raises:
        IntegrityError: The text is not terms.
    """
    try:
        return tuple(
            Term(
                route=value["route"],
                path=value["path"],
                text=value["text"],
                actual=value["actual"],
                holds=value["holds"],
            )
            for value in json.loads(text)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise IntegrityError("a row of the ledger holds terms that cannot be read") from error


def _view_to(view: View) -> dict[str, float | str]:
    return {
        "primary_deg": view.primary_deg,
        "secondary_deg": view.secondary_deg,
        "source_detector_mm": view.source_detector_mm,
        "source_isocenter_mm": view.source_isocenter_mm,
        "seen_from": view.seen_from.value,
    }


def _view_from(value: dict[str, Any]) -> View:
    return View(
        primary_deg=value["primary_deg"],
        secondary_deg=value["secondary_deg"],
        source_detector_mm=value["source_detector_mm"],
        source_isocenter_mm=value["source_isocenter_mm"],
        seen_from=SeenFrom(value["seen_from"]),
    )
