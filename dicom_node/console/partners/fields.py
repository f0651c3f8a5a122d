"""The fields of the forms: which keys of a section they are, and what stands in the file; pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from dicom_node.domain.routes import Commitment
from dicom_node.domain.webaccess import Retrieve
from dicom_node.domain.writing import Form, Matrix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicom_node.settings.problems import Problem

__all__ = [
    "FIELDS",
    "Field",
    "Filled",
    "Kind",
    "Part",
    "Wrong",
    "beside_fields",
    "filled",
    "value_of",
]


class Part(StrEnum):
    """A section of the configuration whose things have forms."""

    PEERS = "peers"
    DESTINATIONS = "destinations"
    MODELS = "models"

    @property
    def noun(self) -> str:
        """One of its things."""
        return self.value.removesuffix("s")


class Kind(StrEnum):
    """How a field is filled in."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One key.

    Attributes:
        key: In the file.
        label: For people.
        kind: How it is filled in.
        default: What counts where the file says nothing.
        choices: Of a choice.
        hint: What it is for, where the label does not say it.
        rare: It folds away until somebody uses it.
    """

    key: str
    label: str
    kind: Kind = Kind.TEXT
    default: Any = None
    choices: tuple[str, ...] = ()
    hint: str = ""
    rare: bool = False


def _choice(key: str, label: str, default: StrEnum, *, hint: str = "", rare: bool = False) -> Field:
    """One of the values of an enumeration."""
    return Field(
        key=key,
        label=label,
        kind=Kind.CHOICE,
        default=default.value,
        choices=tuple(each.value for each in type(default)),
        hint=hint,
        rare=rare,
    )


FIELDS: Final[Mapping[Part, tuple[Field, ...]]] = {
    Part.PEERS: (
        Field(key="ae_title", label="AE title", hint="It calls with."),
        Field(
            key="host",
            label="Address",
            hint="A host name, address or network (10.1.2.0/24); empty: anywhere.",
        ),
        Field(key="may_send", label="May send images", kind=Kind.FLAG, default=True),
        Field(
            key="may_commit",
            label="May ask for storage commitment",
            kind=Kind.FLAG,
            default=True,
        ),
        Field(
            key="require_tls",
            label="Must call over TLS",
            kind=Kind.CHOICE,
            choices=("yes", "no"),
            hint="Empty: when the node has a tls section.",
            rare=True,
        ),
        Field(
            key="commitment_port",
            label="Port for commitment reports",
            kind=Kind.NUMBER,
            rare=True,
        ),
        Field(key="max_associations", label="Associations at once", kind=Kind.NUMBER, rare=True),
        Field(
            key="associations_per_minute",
            label="Associations a minute",
            kind=Kind.NUMBER,
            rare=True,
        ),
        Field(key="images_per_minute", label="Images a minute", kind=Kind.NUMBER, rare=True),
        Field(
            key="token_file",
            label="File with its token",
            hint="On the node's machine, beside the configuration or with a whole path; its first "
            "line is the token. The peer may then store by HTTP (STOW-RS) too.",
            rare=True,
        ),
        Field(
            key="token_env",
            label="or variable with its token",
            hint="Of the node's environment, instead of a file.",
            rare=True,
        ),
    ),
    Part.DESTINATIONS: (
        Field(key="ae_title", label="AE title", hint="It is called by."),
        Field(key="host", label="Address", hint="A host name or an IP address."),
        Field(key="port", label="Port", kind=Kind.NUMBER),
        Field(key="url", label="or DICOMweb URL", hint="Instead of the three above: STOW-RS."),
        _choice("form", "Views are written as", Form.DX),
        _choice(
            "matrix",
            "in pixels",
            Matrix.NATIVE,
            hint="Of the model, or of the source for reading side by side.",
        ),
        Field(
            key="banner",
            label="Burn the banner into the pixels",
            kind=Kind.FLAG,
            default=True,
        ),
        _choice("commitment", "Storage commitment", Commitment.NONE),
        Field(
            key="commitment_timeout_s",
            label="Seconds it has to report",
            kind=Kind.NUMBER,
            default=3600.0,
            rare=True,
        ),
        _choice("retrieve", "Studies are fetched by", Retrieve.GET, rare=True),
        Field(
            key="authorization_file",
            label="File with the Authorization header",
            hint="Of a DICOMweb service.",
            rare=True,
        ),
        Field(
            key="authorization_env",
            label="or variable with the Authorization header",
            hint="Of the node's environment, instead of a file.",
            rare=True,
        ),
    ),
    Part.MODELS: (
        Field(
            key="family",
            label="Family",
            kind=Kind.CHOICE,
            default="vcdit",
            choices=("vcdit", "svdrr"),
        ),
        Field(
            key="path",
            label="Weights",
            hint="A checkpoint, for svdrr a folder, beside the configuration; or: bundled.",
        ),
    ),
}
"""What forms show; keys that no form has stay in the file as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What stands in the fields, also when it is wrong.

    Attributes:
        part: Of the configuration.
        old_name: Of the thing that is changed; empty for a new one.
        base: Digest of the text that the form was made of.
        name: It is to have.
        values: Key -> text; of a flag ``yes`` or nothing.
        comment: What the change is for.
    """

    part: Part
    old_name: str = ""
    base: str = ""
    name: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """What is wrong with a form: by key, and elsewhere in the file."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    others: tuple[Problem, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.fields or self.others)


def filled(part: Part, name: str, raw: Mapping[str, Any], *, base: str) -> Filled:
    """The form of a thing as it stands in the file; of a new one with an empty name and no keys."""
    return Filled(
        part=part,
        old_name=name,
        base=base,
        name=name,
        values={each.key: _shown(raw.get(each.key), each) for each in FIELDS[part]},
    )


def _shown(value: Any, each: Field) -> str:
    found = each.default if value is None else value
    if each.kind is Kind.FLAG:
        return "yes" if found is True else ""
    if isinstance(found, bool):
        return "yes" if found else "no"
    return "" if found is None else f"{found:g}" if isinstance(found, float) else str(found)


def value_of(form: Filled, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The thing's keys as they are to stand in the file, without its name.

    A default that the file does not spell out is not spelled out now either, and a field that was
    not touched leaves what stands there as it is written.

    Args:
        form: As sent.
        raw: The keys as they stand there.
    """
    found = dict(raw)
    before = filled(form.part, form.old_name, raw, base="").values
    for each in FIELDS[form.part]:
        text = form.values.get(each.key, "").strip()
        if text == before[each.key]:
            continue
        value = _meant(text, each)
        if value is None or (value == each.default and each.key not in raw):
            found.pop(each.key, None)
        else:
            found[each.key] = value
    return found


def _meant(text: str, each: Field) -> Any:
    if each.kind is Kind.FLAG:
        return text == "yes"
    if not text:
        return None
    if each.kind is Kind.NUMBER:
        if re.fullmatch(r"-?[0-9]{1,15}", text):
            return int(text)
        if re.fullmatch(r"-?[0-9]{1,15}\.[0-9]{1,15}", text):
            return float(text)
        return text  # the settings say what is wrong with it
    if each.choices == ("yes", "no"):
        return {"yes": True, "no": False}.get(text, text)
    return text


def beside_fields(part: Part, place: int | str, problems: Sequence[Problem]) -> Wrong:
    """Problems beside the fields they are about.

    Args:
        part: Of the configuration.
        place: Of the thing there: its position, or in a mapping its name.
        problems: Of the whole text.
    """
    known = {each.key for each in FIELDS[part]}
    fields: dict[str, list[str]] = {}
    others = []
    for problem in problems:
        if problem.location[:2] != (part.value, place):
            others.append(problem)
            continue
        key = str(problem.location[2]) if len(problem.location) > 2 else "name"
        if key in known or key == "name":
            fields.setdefault(key, []).append(problem.message)
        else:
            others.append(problem)
    return Wrong(
        fields={key: tuple(dict.fromkeys(words)) for key, words in fields.items()},
        others=tuple(others),
    )
