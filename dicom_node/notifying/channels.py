"""The ways a message goes out: a webhook that is signed, and e-mail."""

from __future__ import annotations

import base64
import binascii
import email.policy
import email.utils
import hashlib
import hmac
import http.client
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from dicom_node import __version__
from dicom_node.domain.errors import ConfigurationError, PeerError
from dicom_node.domain.notices import SmtpSecurity

if TYPE_CHECKING:
    from email.message import Message as MailHeaders
    from pathlib import Path
    from typing import IO

    from dicom_node.notifying.wording import Message

__all__ = ["Channel", "Email", "Webhook", "signature"]

SENT_WITHIN_S: Final = 15.0
"""How long one that is told may be silent."""

_SECRET_PREFIX: Final = "whsec_"

_log = structlog.get_logger(__name__)


class Channel(Protocol):
    """One way to tell somebody."""

    @property
    def name(self) -> str:
        """By which rules call it."""
        ...

    def send(self, message: Message, now: float) -> None:
        """Send it; on return it was taken.

        Raises:
            PeerError: It was not.
            ConfigurationError: A secret or a certificate cannot be read.
        """
        ...


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Value of the ``webhook-signature`` header, by the specification "Standard Webhooks".

    Args:
        secret: ``whsec_`` and base64, or any text, whose UTF-8 is the key then.
        message_id: Value of ``webhook-id``.
        timestamp: Value of ``webhook-timestamp``.
        body: Of the request.

    Raises:
        ConfigurationError: What follows ``whsec_`` is no base64.
    """
    key = secret.encode()
    if secret.startswith(_SECRET_PREFIX):
        try:
            key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
        except binascii.Error:
            raise ConfigurationError("the secret of a webhook is no base64 after whsec_") from None
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What is signed for one address is not carried to another."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: MailHeaders,
        newurl: str,
    ) -> None:
        """Never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """POST of JSON to a URL.

    Attributes:
        name: By which rules call it.
        url: Where to; never in messages or logs, as such URLs often hold a token.
        secret: Gives the key of the signature, read for every message.
        trusted: PEM file with authorities; None for those of the system.
    """

    name: str
    url: str
    secret: Callable[[], str] = field(repr=False)
    trusted: Path | None = None

    def send(self, message: Message, now: float) -> None:
        """See `Channel.send`."""
        body, timestamp = message.body(), int(now)
        request = urllib.request.Request(
            self.url,
            data=body,
            method="POST",
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"dicom-node/{__version__}",
                "webhook-id": message.id,
                "webhook-timestamp": str(timestamp),
                "webhook-signature": signature(self.secret(), message.id, timestamp, body),
            },
        )
        opener = urllib.request.build_opener(
            _NoRedirects, urllib.request.HTTPSHandler(context=_context(self.name, self.trusted))
        )
        try:
            with opener.open(request, timeout=SENT_WITHIN_S):
                pass
        except urllib.error.HTTPError as error:
            error.close()
            raise PeerError(f"{self.name} answered with status {error.code}") from None
        except (OSError, http.client.HTTPException) as error:
            raise PeerError(f"{self.name} was not reached: {_reason(error)}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """A mail server that takes messages for people.

    Attributes:
        name: By which rules call it.
        host: Of the server.
        port: Of the server.
        security: How it is spoken to.
        sender: Address in From.
        to: Addresses.
        username: To log in with; empty for no login.
        password: Gives the password, read for every message.
        trusted: PEM file with authorities; None for those of the system.
    """

    name: str
    host: str
    port: int
    security: SmtpSecurity
    sender: str
    to: tuple[str, ...]
    username: str = ""
    password: Callable[[], str] | None = field(default=None, repr=False)
    trusted: Path | None = None

    def send(self, message: Message, now: float) -> None:
        """See `Channel.send`."""
        password = self.password() if self.password is not None else ""
        context = _context(self.name, self.trusted)
        try:
            with self._connected(context) as server:
                if self.security is SmtpSecurity.STARTTLS:
                    server.starttls(context=context)
                if self.username:
                    server.login(self.username, password)
                refused = server.send_message(self._letter(message), self.sender, self.to)
        except smtplib.SMTPRecipientsRefused:
            raise PeerError(f"{self.name} refused every recipient") from None
        except smtplib.SMTPResponseException as error:
            raise PeerError(f"{self.name} answered with status {error.smtp_code}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise PeerError(f"{self.name} was not reached: {_reason(error)}") from None
        if refused:
            _log.warning(
                "a notification reached only some of its recipients",
                channel=self.name,
                refused=len(refused),
            )

    def _connected(self, context: ssl.SSLContext) -> smtplib.SMTP:
        if self.security is SmtpSecurity.TLS:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=SENT_WITHIN_S, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=SENT_WITHIN_S)

    def _letter(self, message: Message) -> EmailMessage:
        letter = EmailMessage(policy=email.policy.SMTP)
        letter["From"] = self.sender
        letter["To"] = ", ".join(self.to)
        letter["Subject"] = message.subject
        letter["Date"] = email.utils.format_datetime(email.utils.localtime())
        letter["Message-ID"] = f"<{message.id}@{self.sender.rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"  # so that no absence notice answers (RFC 3834)
        letter.set_content(message.text)
        return letter


def _context(name: str, trusted: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if trusted is None else str(trusted))
    except OSError as error:
        raise ConfigurationError(
            f"notifications: {name}: trusted cannot be read: {error.strerror or 'it is no PEM'}"
        ) from None


def _reason(error: Exception) -> str:
    """In words, without an address."""
    inner = getattr(error, "reason", None)
    if isinstance(inner, ssl.SSLError) or isinstance(error, ssl.SSLError):
        return "its certificate is not trusted, or it does not speak TLS"
    if isinstance(inner, TimeoutError) or isinstance(error, TimeoutError):
        return "no answer in time"
    return type(inner if isinstance(inner, Exception) else error).__name__
