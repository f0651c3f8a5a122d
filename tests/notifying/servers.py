"""Real servers on this machine that take notifications."""

from __future__ import annotations

import logging
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.network.objects import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

    from tests.network.certificates import Pair


@dataclass
class Hook:
    """What was posted, and the statuses that are answered; 204 when there are no more."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    posted: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextmanager
def webhook(pair: Pair | None = None) -> Iterator[Hook]:
    """A program that takes webhooks, over TLS when it has a certificate."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.posted.append(({k.lower(): v for k, v in self.headers.items()}, body))
            status = hook.statuses.pop(0) if hook.statuses else 204
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", hook.url + "/elsewhere")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if pair is None else "https"
    hook.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/hook?token=hidden"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Mailbox:
    """What a mail server took."""

    port: int = 0
    letters: list[Message] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    busy: int = 0

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.busy:
            self.busy -= 1
            return "451 try later"
        assert isinstance(envelope.content, bytes)
        self.letters.append(message_from_bytes(envelope.content))
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 taken"


@contextmanager
def mail_server(pair: Pair | None = None, password: str = "") -> Iterator[Mailbox]:
    """A mail server; with a certificate it demands STARTTLS, with a password a login."""
    box = Mailbox(port=free_port())
    options: dict[str, Any] = {}
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        options |= {"tls_context": context, "require_starttls": True}
    if password:

        def check(server: SMTP, session: Session, *rest: Any) -> AuthResult:
            given = rest[-1]
            assert isinstance(given, LoginPassword)
            return AuthResult(success=given.password == password.encode(), handled=False)

        options |= {"authenticator": check, "auth_required": True}
    controller = Controller(box, hostname="127.0.0.1", port=box.port, ready_timeout=60, **options)
    # Its log is nobody's business, least of all that of a command whose output a test reads.
    log = logging.getLogger("mail.log")
    before, log.propagate = log.propagate, False
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
        log.propagate = before
