"""TLS by profile: contexts from files, made anew when the files change.

Both sides show a certificate and both are verified. A private key that others can read is refused.
A file that changes counts for the next association; if what is there now cannot be used, what was
there before stays in use and the log says so, once for every change.
"""

from __future__ import annotations

import contextlib
import ssl
import stat
import threading
from typing import TYPE_CHECKING, Any, Final

import structlog
from cryptography import x509

from dicom_node.domain.errors import ConfigurationError
from dicom_node.domain.security import DestinationTls, TlsFiles, TlsProfile

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable
    from pathlib import Path

    from dicom_node.domain.routes import Destination

__all__ = [
    "CIPHERS",
    "Attempt",
    "CertificateWatch",
    "Credentials",
    "OutgoingTls",
    "check_files",
    "failure_of",
    "own_credentials",
    "peer_subject",
]

_SECURITY_LEVEL: Final = "@SECLEVEL=2"
"""OpenSSL's: no key weaker than 112 bits, so RSA of 2048 and more; no SHA-1 signatures."""

_ELLIPTIC: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)

CIPHERS: Final = {
    TlsProfile.RFC8996: (*_ELLIPTIC, "DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384"),
    TlsProfile.RFC9325: _ELLIPTIC,
}
"""Suites of TLS 1.2 by profile, as OpenSSL names them. Those of TLS 1.3 are all taken."""

DAY_S: Final = 86400.0

_log = structlog.get_logger(__name__)


class Credentials:
    """Files as a context, for one side of connections. Safe to use from many threads.

    Args:
        files: Where they are.
        server_side: True to be called, False to call.
        check_host: Whether a server's certificate must be for the host that is called.
    """

    def __init__(self, files: TlsFiles, *, server_side: bool, check_host: bool = True) -> None:
        self.files = files
        self._server_side = server_side
        self._check_host = check_host
        self._context: ssl.SSLContext | None = None
        self._seen: object = None
        self._lock = threading.Lock()

    def context(self) -> ssl.SSLContext:
        """The context of the files as they are now, or of the last ones that could be used.

        Raises:
            ConfigurationError: They cannot be used, and never could.
        """
        with self._lock:
            seen = _fingerprint((self.files.certificate, self.files.key, self.files.trusted))
            if self._context is not None and seen == self._seen:
                return self._context
            try:
                context = _build(self.files, self._server_side, self._check_host)
            except ConfigurationError as error:
                if self._context is None:
                    raise
                _log.error(
                    "new TLS files cannot be used, so the old ones stay in use", reason=str(error)
                )
            else:
                if self._context is not None:
                    _log.info("TLS files have changed and are in use", where=self.files.where)
                self._context = context
            self._seen = seen
            return self._context

    def expires_at(self) -> float:
        """When our certificate or one of its chain ends, in Unix seconds.

        Raises:
            ConfigurationError: It cannot be read.
        """
        return min(c.not_valid_after_utc.timestamp() for c in _certificates(self.files))


class CertificateWatch:
    """Tells in the log, once a day, when a certificate of ours is about to end or has ended."""

    def __init__(self, credentials: Iterable[Credentials]) -> None:
        self._credentials = tuple(credentials)

    def run_once(self, now: float) -> bool:
        """Look at all of them, and take up changed files; whether there was something to tell."""
        told = False
        for each in self._credentials:
            left_days = 0.0
            try:
                each.context()
                left_days = (each.expires_at() - now) / DAY_S
            except ConfigurationError as error:
                _log.error("a certificate cannot be read", reason=str(error))
                told = True
                continue
            place = f"{each.files.where}.certificate"
            if left_days <= 0:
                _log.error("a certificate has expired: peers will refuse it", where=place)
            elif left_days <= each.files.warn_days:
                _log.warning("a certificate expires soon", where=place, days=int(left_days))
            told = told or left_days <= each.files.warn_days
        return told

    def ends(self) -> tuple[tuple[str, float], ...]:
        """Place of each certificate that can be read, and when it ends, in Unix seconds."""
        found = []
        for each in self._credentials:
            try:
                found.append((f"{each.files.where}.certificate", each.expires_at()))
            except ConfigurationError:  # `run_once` tells of it
                continue
        return tuple(found)


class OutgoingTls:
    """The credentials of every destination, each read when it is first called."""

    def __init__(self) -> None:
        self._credentials: dict[DestinationTls, Credentials] = {}
        self._lock = threading.Lock()

    def attempt(self, tls: DestinationTls | None) -> Attempt | None:
        """What one connection is secured with; None for a plain one.

        Raises:
            ConfigurationError: The files cannot be used.
        """
        if tls is None:
            return None
        with self._lock:
            if tls not in self._credentials:
                self._credentials[tls] = Credentials(
                    tls.files, server_side=False, check_host=tls.check_host
                )
            credentials = self._credentials[tls]
        return Attempt(credentials.context())


def own_credentials(
    destinations: Iterable[Destination], syslog: DestinationTls | None = None
) -> list[Credentials]:
    """One for each set of files that destinations and the syslog receiver are called with."""
    found = {each.tls for each in destinations if each.tls is not None}
    if syslog is not None:
        found.add(syslog)
    return [
        Credentials(tls.files, server_side=False, check_host=tls.check_host)
        for tls in sorted(found, key=lambda tls: tls.files.where)
    ]


def check_files(
    node: TlsFiles | None,
    destinations: Iterable[Destination],
    syslog: DestinationTls | None = None,
) -> None:
    """Try all files once.

    Raises:
        ConfigurationError: With everything that is wrong with any of them.
    """
    problems: dict[str, None] = {}
    of_node = [] if node is None else [Credentials(node, server_side=True)]
    for each in (*of_node, *own_credentials(destinations, syslog)):
        try:
            each.context()
        except ConfigurationError as error:
            problems.update(dict.fromkeys(error.problems))
    if problems:
        raise ConfigurationError(*problems)


class Attempt:
    """One outgoing connection: it is handed to pynetdicom as the context and keeps the reason of a
    handshake that failed, which pynetdicom does not tell.

    Attributes:
        failure: In words; None as long as nothing failed.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self.failure: str | None = None

    def wrap_socket(
        self, sock: socket.socket, *, server_side: bool, server_hostname: str | None
    ) -> ssl.SSLSocket:
        """As of `ssl.SSLContext`."""
        secured = self._context.wrap_socket(
            sock, server_side=server_side, server_hostname=server_hostname
        )
        if isinstance(secured, _ReportingSocket):
            secured.attempt = self
        return secured


class _ReportingSocket(ssl.SSLSocket):
    attempt: Attempt | None = None

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError as error:
            if self.attempt is not None:
                self.attempt.failure = failure_of(error)
            raise


def failure_of(error: OSError) -> str:
    """Why a handshake failed, in words for people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "it was not completed in time"
    if isinstance(error, ssl.SSLError):
        return (error.reason or "the connection was closed").replace("_", " ").lower()
    return error.strerror or "the connection was closed"


def peer_subject(secured: ssl.SSLSocket) -> tuple[tuple[str, str], ...]:
    """Attributes of the subject of the other side's certificate: ``(("commonName", "ct1"), ...)``.

    Empty when it showed none.
    """
    certificate: Any = secured.getpeercert() or {}
    return tuple((key, value) for part in certificate.get("subject", ()) for key, value in part)


def _fingerprint(paths: Iterable[Path]) -> object:
    seen: list[tuple[int | None, ...]] = []
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            seen.append((error.errno,))
        else:
            seen.append((status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode))
    return seen


def _build(files: TlsFiles, server_side: bool, check_host: bool) -> ssl.SSLContext:
    _certificates(files)
    _check_key(files)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join((*CIPHERS[files.profile], _SECURITY_LEVEL)))
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    if server_side:
        # A resumed session would not be verified again, whatever became of the certificate.
        context.num_tickets = 0
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.check_hostname = check_host
        context.sslsocket_class = _ReportingSocket
    context.verify_mode = ssl.CERT_REQUIRED
    with _named(files.where, "key", files.key):
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    with _named(files.where, "trusted", files.trusted):
        context.load_verify_locations(files.trusted)
    return context


def _no_password() -> str:
    raise ssl.SSLError("the key is encrypted")


@contextlib.contextmanager
def _named(where: str, key: str, path: Path) -> Any:
    try:
        yield
    except ssl.SSLError as error:
        reason = (error.reason or "is no PEM file of a key or certificate").replace("_", " ")
        hint = " (keys have no password here)" if "encrypted" in str(error) else ""
        raise ConfigurationError(
            f"{where}.{key}: {path} cannot be used: {reason.lower()}{hint}"
        ) from None
    except OSError as error:
        raise ConfigurationError(
            f"{where}.{key}: {path} cannot be read: {error.strerror}"
        ) from None


def _certificates(files: TlsFiles) -> list[x509.Certificate]:
    with _named(files.where, "certificate", files.certificate):
        text = files.certificate.read_bytes()
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError:
        raise ConfigurationError(
            f"{files.where}.certificate: {files.certificate} holds no PEM certificate"
        ) from None


def _check_key(files: TlsFiles) -> None:
    with _named(files.where, "key", files.key):
        status = files.key.stat()
    # Orchestrators mount secrets as root's, readable by the service's group.
    allowed = stat.S_IRWXU | (stat.S_IRGRP if status.st_uid == 0 else 0)
    if stat.S_IMODE(status.st_mode) & ~allowed:
        raise ConfigurationError(
            f"{files.where}.key: {files.key} can be read or changed by others "
            f"(mode {stat.S_IMODE(status.st_mode):04o}): chmod 600 it"
        )
