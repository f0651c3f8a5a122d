"""What stands around every request: headers of the answer, the root path, the size of the body.

Plain ASGI, so that files, pages and errors all pass through it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Message = MutableMapping[str, Any]
    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Scope, Receive, Send], Awaitable[None]]

__all__ = ["CONTENT_SECURITY_POLICY", "BodyLimit", "Headers", "RootPath"]

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline, nothing from elsewhere, in no frame."""

_HEADERS: Final = {
    b"content-security-policy": CONTENT_SECURITY_POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=()",
}
_NOT_KEPT: Final = b"no-store"
_BODY_BYTES: Final = 256 * 1024
"""Most bytes of a form."""


class Headers:
    """Adds the headers of safety to every answer; what says nothing else is not kept by browsers.

    Args:
        app: What is inside.
        https: Browsers come over TLS for sure, and are told to stay there.
    """

    def __init__(self, app: App, *, https: bool) -> None:
        self._app = app
        self._more = {b"strict-transport-security": b"max-age=31536000"} if https else {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                names = {name.lower() for name, _ in headers}
                wanted = _HEADERS | self._more | {b"cache-control": _NOT_KEPT}
                headers += [item for item in wanted.items() if item[0] not in names]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, told)


class RootPath:
    """Makes both kinds of proxy the same: one that cuts the root path off and one that does not."""

    def __init__(self, app: App, *, root_path: str) -> None:
        self._app = app
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and self._root_path:
            path: str = scope["path"]
            if path == self._root_path:
                path = f"{path}/"  # as people type it
            elif not path.startswith(f"{self._root_path}/"):
                path = f"{self._root_path}{path}"
            scope = {**scope, "path": path, "root_path": self._root_path}
        await self._app(scope, receive, send)


class BodyLimit:
    """Refuses bodies that are longer than a form, but where a page takes more.

    Args:
        app: What is inside.
        root_path: Of the console.
        uploads: Path -> most bytes.
    """

    def __init__(self, app: App, *, root_path: str, uploads: dict[str, int]) -> None:
        self._app = app
        self._uploads = {f"{root_path}{path}": most for path, most in uploads.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = self._uploads.get(scope["path"], _BODY_BYTES)
        length = next((v for k, v in scope["headers"] if k.lower() == b"content-length"), b"0")
        if not length.isdigit() or int(length) > most:
            await _too_long(send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            # One that did not say its length, or lied: as if the browser had gone.
            return {"type": "http.disconnect"} if read > most else message

        await self._app(scope, counted, send)


async def _too_long(send: Send) -> None:
    body = b"The request is too long.\n"
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
