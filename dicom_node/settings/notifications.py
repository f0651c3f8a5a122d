"""The section about who is told when something is wrong."""

from __future__ import annotations

import re
from string import Template
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from dicom_node.domain.alarms import AlarmRule, Cause
from dicom_node.domain.notices import FIELDS, SmtpSecurity
from dicom_node.settings.fields import FilePath, Flag, Host, Name, Number, Section
from dicom_node.settings.reached import TargetUrl
from dicom_node.settings.secrets import Variable

__all__ = ["EmailSettings", "NotificationRule", "NotificationSettings", "WebhookSettings"]

_ADDRESS: Final = re.compile(r"[^\s@<>,;:\"()\\]+@[A-Za-z0-9.\-]+")


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        raise ValueError(f"give an address as name@example.org, not {text!r}")
    return text


def _template(text: str) -> str:
    template = Template(text)
    if not template.is_valid():
        raise ValueError("a $ that begins no name is written $$")
    unknown = sorted(set(template.get_identifiers()) - FIELDS)
    if unknown:
        raise ValueError(
            f"${unknown[0]} is nothing a notification can say; there are: "
            + ", ".join(f"${name}" for name in sorted(FIELDS))
        )
    return text


Address = Annotated[str, AfterValidator(_address)]
"""An address of e-mail."""

Wording = Annotated[str, AfterValidator(_template)]
"""Text with names after a dollar sign."""

Seconds = Annotated[Number, Field(ge=0)]
"""A time that is not negative."""


class WebhookSettings(Section):
    """A program that is told by POST of JSON, signed as "Standard Webhooks" asks."""

    name: Name
    """Name that rules use."""
    url: TargetUrl
    """Where to. It may hold a token, and is never logged."""
    secret_file: FilePath | None = None
    """File whose first line is the key of the signature: whsec_ and base64, or any text."""
    secret_env: Variable | None = None
    """Environment variable that holds it, instead of a file."""
    trusted: FilePath | None = None
    """PEM file: authorities one of which certified it; null: those of the system."""

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.secret_file is None) == (self.secret_env is None):
            raise ValueError("give secret_file or secret_env: who is told must know that it is us")
        return self


class EmailSettings(Section):
    """People who are told by e-mail, and the server that takes it."""

    name: Name
    """Name that rules use."""
    host: Host
    """Mail server."""
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = 587
    """Its port: 587 with starttls, 465 with tls."""
    security: SmtpSecurity = SmtpSecurity.STARTTLS
    """starttls, tls, or none for a server on this machine."""
    username: str = ""
    """To log in with; empty: no login."""
    password_file: FilePath | None = None
    """File whose first line is the password."""
    password_env: Variable | None = None
    """Environment variable that holds it, instead of a file."""
    sender: Address
    """Address the mail is from."""
    to: Annotated[tuple[Address, ...], Field(min_length=1)]
    """Addresses it goes to."""
    trusted: FilePath | None = None
    """PEM file: authorities one of which certified the server; null: those of the system."""

    @model_validator(mode="after")
    def _login(self) -> Self:
        given = sum(each is not None for each in (self.password_file, self.password_env))
        if given != (1 if self.username else 0):
            raise ValueError("username needs password_file or password_env, and these a username")
        if self.username and self.security is SmtpSecurity.NONE:
            raise ValueError("a password is not sent in the clear: give security tls or starttls")
        return self


class NotificationRule(Section):
    """Who is told of what."""

    name: Name
    """Name in the messages."""
    events: Annotated[tuple[Cause, ...], Field(min_length=1)]
    """What it is about: quarantine, destination, disk, ledger, certificate, engine."""
    destinations: tuple[Name, ...] | None = None
    """Of destination, these alone; null: all."""
    after_s: Seconds = 300.0
    """How long a destination must be away, the disk full, the ledger or the engine gone before it
    is told. Quarantine and certificates are told at once."""
    gather_s: Seconds = 300.0
    """More in quarantine is told again after so long at the earliest."""
    repeat_s: Seconds | None = None
    """A trouble that goes on is told again so often; null: never."""
    recovery: Flag = True
    """Whether it is told when it is over."""
    to: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Names of webhooks and emails."""
    subject: Wording | None = None
    """Template of the subject, with names as $title; null: the built-in one."""
    text: Wording | None = None
    """Template of the text; null: the built-in one."""

    def to_domain(self) -> AlarmRule:
        """The same as a value of the domain."""
        return AlarmRule(
            name=self.name,
            causes=frozenset(self.events),
            subjects=None if self.destinations is None else frozenset(self.destinations),
            after_s=self.after_s,
            gather_s=self.gather_s,
            repeat_s=self.repeat_s,
            tell_end=self.recovery,
            to=self.to,
        )


class NotificationSettings(Section):
    """Telling people and programs of what is wrong. No patient data is in it."""

    webhooks: tuple[WebhookSettings, ...] = ()
    """Programs that can be told."""
    emails: tuple[EmailSettings, ...] = ()
    """People who can be told."""
    rules: tuple[NotificationRule, ...] = ()
    """Who is told of what; none: nobody of anything."""
    look_every_s: Annotated[Number, Field(ge=1)] = 15.0
    """How often the node looks at itself."""
