"""The form of a route: what somebody typed, and what comes of it in the file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dicom_node.console.routing.tree import Node, data_of, node_at, node_of, number, read_node

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicom_node.settings.problems import Problem

__all__ = ["Found", "RouteForm", "form_of", "problems_by_field", "read_form", "value_of"]

_ORDER: Final = ("enabled", "when", "synthesize", "send_to", "priority")
_MADE: Final = ("model", "views", "samples", "steps", "min_consistency", "allow_ineligible")
_DEFAULTS: Final[dict[str, Any]] = {
    "enabled": True,
    "priority": 5,
    "samples": 1,
    "steps": None,
    "min_consistency": None,
    "allow_ineligible": False,
}
_NUMBERS: Final = ("priority", "samples", "steps", "min_consistency")


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteForm:
    """What stands in the fields, also when it is wrong.

    Attributes:
        old_name: Of the route that is changed; empty for a new one.
        base: Digest of the text that the form was made of.
        bare: Its predicate stands in the file as one term.
        comment: What the change is for.
        images: How many images it is replayed over.
    """

    old_name: str = ""
    base: str = ""
    name: str = ""
    enabled: bool = True
    when: Node = field(default_factory=lambda: node_of({"all": [{"attribute": ""}]}))
    bare: bool = False
    model: str = ""
    views: str = ""
    samples: str = "1"
    steps: str = ""
    min_consistency: str = ""
    allow_ineligible: bool = False
    send_to: tuple[str, ...] = ()
    priority: str = "5"
    comment: str = ""
    images: int = 500


def form_of(raw: Mapping[str, Any], *, base: str, new: bool = False) -> RouteForm:
    """The form of a route as it stands in the file.

    Args:
        raw: Its keys.
        base: Digest of the file's text.
        new: It is a copy that gets a name of its own.
    """
    made = raw.get("synthesize")
    made = made if isinstance(made, dict) else {}
    when = raw.get("when")
    sent = raw.get("send_to")
    name = str(raw.get("name") or "")
    return RouteForm(
        old_name="" if new else name,
        base=base,
        name=f"{name}-copy" if new else name,
        enabled=raw.get("enabled") is not False,
        when=node_of(when),
        bare=isinstance(when, dict) and "attribute" in when,
        model=str(made.get("model") or ""),
        views=str(made.get("views") or ""),
        samples=_typed(made.get("samples"), "1"),
        steps=_typed(made.get("steps"), ""),
        min_consistency=_typed(made.get("min_consistency"), ""),
        allow_ineligible=made.get("allow_ineligible") is True,
        send_to=tuple(str(each) for each in sent) if isinstance(sent, list) else (),
        priority=_typed(raw.get("priority"), "5"),
    )


def _typed(value: object, otherwise: str) -> str:
    return otherwise if value is None else str(value)


def read_form(fields: Mapping[str, str], send_to: Sequence[str]) -> RouteForm:
    """What a form was sent with.

    Args:
        fields: By name.
        send_to: The field that stands there several times.
    """

    def text(name: str, most: int = 200) -> str:
        return fields.get(name, "").strip()[:most]

    return RouteForm(
        old_name=text("old_name"),
        base=text("base"),
        name=text("name"),
        enabled="enabled" in fields,
        when=read_node(fields),
        bare=fields.get("bare") == "yes",
        model=text("model"),
        views=text("views"),
        samples=text("samples"),
        steps=text("steps"),
        min_consistency=text("min_consistency"),
        allow_ineligible="allow_ineligible" in fields,
        send_to=tuple(send_to),
        priority=text("priority"),
        comment=text("comment"),
        images=int(text("images"))
        if text("images").isascii() and text("images").isdigit()
        else 500,
    )


def value_of(form: RouteForm, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The route's keys as they are to stand in the file, without its name.

    A default that the file does not spell out is not spelled out now either.

    Args:
        form: As sent.
        raw: The keys as they stand in the file; empty for a new route.
    """
    old_made = raw.get("synthesize")
    made = _keys(form, _MADE, old_made if isinstance(old_made, dict) else {})
    given: dict[str, Any] = {
        **_keys(form, ("enabled", "priority"), raw),
        "when": _when(form, raw.get("when")),
        "synthesize": made,
        "send_to": list(form.send_to),
    }
    order = [key for key in raw if key in given]
    order += [key for key in _ORDER if key in given and key not in order]
    return {key: given[key] for key in order}


def _when(form: RouteForm, before: object) -> Any:
    # What was not touched stays as it is written: a number may stand for its digits there.
    if before is not None and node_of(before) == form.when:
        return before
    return data_of(form.when, bare=form.bare)


def _keys(form: RouteForm, names: Sequence[str], raw: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for name in names:
        value = getattr(form, name)
        if name in _NUMBERS:
            value = number(value) if value else None
        default = _DEFAULTS.get(name, "")
        if value is None and default is not None:
            value = default
        if name in raw or value != default or name in ("model", "views"):
            found[name] = value
    return {name: found[name] for name in (*(n for n in raw if n in found), *found)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is wrong with a form.

    Attributes:
        fields: Name of a field, or place of a node -> what is wrong with it.
        others: What is wrong elsewhere in the file.
    """

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    others: tuple[Problem, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.others)


def problems_by_field(form: RouteForm, problems: Sequence[Problem], position: int) -> Found:
    """Problems beside the fields they are about.

    Args:
        form: As sent.
        problems: Of the whole text.
        position: Of the route among the routes.
    """
    fields: dict[str, list[str]] = {}
    others = []
    for problem in problems:
        if problem.location[:2] != ("routes", position):
            others.append(problem)
            continue
        match problem.location[2:]:
            case ("when", *rest):
                name = node_at(tuple(rest), bare=form.bare and _is_one_term(form.when))
            case ("synthesize", str(key), *_):
                name = key
            case (str(key), *_):
                name = key
            case _:
                name = "name"
        fields.setdefault(name, []).append(problem.message.replace(" without quotes", ""))
    return Found(
        fields={name: tuple(dict.fromkeys(each)) for name, each in fields.items()},
        others=tuple(others),
    )


def _is_one_term(node: Node) -> bool:
    return node.kind == "all" and len(node.parts) == 1 and not node.parts[0].is_group
