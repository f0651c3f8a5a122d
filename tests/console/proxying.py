"""A small reverse proxy that shows a console under a path, and nothing else of it."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "date", "server")


class Proxy:
    """Where it is, and what came to it.

    Attributes:
        address: Of the host, without the path.
        passed: Paths that were asked for below the path.
        strayed: Paths beside it: a page of the console led there.
    """

    def __init__(self) -> None:
        self.address = ""
        self.passed: list[str] = []
        self.strayed: list[str] = []


@contextmanager
def proxied(console: str, path: str, *, cuts: bool) -> Iterator[Proxy]:
    """A proxy before a console.

    Args:
        console: Its address.
        path: It is shown under, as /some/path.
        cuts: Whether the path is cut off before a request is passed on.
    """
    proxy, behind = Proxy(), urlsplit(console)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            bare = self.path.partition("?")[0]
            if bare != path and not bare.startswith(f"{path}/"):
                if bare != "/favicon.ico":
                    proxy.strayed.append(self.path)
                self.answer(404, [("content-type", "text/plain")], b"another service")
                return
            proxy.passed.append(self.path)
            onward = (self.path.removeprefix(path) or "/") if cuts else self.path
            headers = dict(self.headers) | {
                "X-Forwarded-For": self.client_address[0],
                "X-Forwarded-Proto": "http",
            }
            there = http.client.HTTPConnection(str(behind.hostname), behind.port, timeout=60)
            there.request(self.command, onward, body or None, headers)
            answer = there.getresponse()
            self.answer(answer.status, answer.getheaders(), answer.read())
            there.close()

        do_POST = do_GET

        def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in _HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    proxy.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
