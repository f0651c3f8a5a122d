"""An OpenID provider on the loopback that lets a test say what it claims, truly or not."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

SECRET = "between the two of us"
CLIENT = "dicom-node"


@dataclass
class IdentityProvider:
    """Its address, and what it says."""

    claims: dict[str, Any] = field(default_factory=dict)
    """Over those that are right; None leaves one out."""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    signing_key: Any = None
    """Another key than the one it shows."""
    algorithm: str = "RS256"
    asked: list[dict[str, str]] = field(default_factory=list)
    """What came to the token endpoint."""
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def let_in(self, url: str) -> tuple[str, str]:
        """Somebody says yes on its page; the code and the state the browser comes back with."""
        asked = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
        code = f"code-{len(self._codes)}"
        self._codes[code] = asked
        return code, asked["state"]

    def described(self) -> dict[str, str]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }

    def token(self, asked: dict[str, str], basic: str) -> tuple[int, dict[str, Any]]:
        self.asked.append(asked)
        begun = self._codes.pop(asked.get("code", ""), None)
        wanted = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if begun is None or basic != f"Basic {wanted}" or not _verifies(asked, begun):
            return 400, {"error": "invalid_grant"}
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "1234",
            "exp": 2_000_000_000,
            "iat": 1_700_000_000,
            "nonce": begun["nonce"],
            "preferred_username": "nora",
            "groups": ["pacs"],
        } | self.claims
        claims = {key: value for key, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": "one"}
        key = self.signing_key or self.key
        text = jwt.encode(header, claims, key, [self.algorithm])
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": text}


def _verifies(asked: dict[str, str], begun: dict[str, str]) -> bool:
    digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return (begun.get("code_challenge"), begun.get("code_challenge_method")) == (challenge, "S256")


def _handler(provider: IdentityProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found: Any = {
                "/.well-known/openid-configuration": provider.described(),
                "/keys": {"keys": [provider.key.as_dict(private=False)]},
            }.get(self.path)
            self._answer(404 if found is None else 200, found or {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            asked = {key: values[0] for key, values in parse_qs(body).items()}
            self._answer(*provider.token(asked, self.headers.get("authorization", "")))

        def _answer(self, status: int, content: Any) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler
