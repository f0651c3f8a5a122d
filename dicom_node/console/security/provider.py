"""The identity provider: the way there, and what it says about who comes back (OpenID Connect).

Authorization code flow with PKCE (RFC 7636), state and nonce. The ID token's signature is checked
against the provider's keys, and its claims as OpenID Connect Core 3.1.3.7 says.
"""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import httpx2
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from dicom_node.console.failures import ForbiddenError, UpstreamError
from dicom_node.console.security.credentials import new_secret
from dicom_node.domain.accounts import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dicom_node.domain.console import IdentityProvider

__all__ = ["Claimed", "Departure", "Provider", "role_of"]

_ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384"]
"""Signatures with the provider's private key; never ``none``, and none with our own secret."""

_TIMEOUT_S: Final = 10.0
_LEEWAY_S: Final = 60
_KEPT_S: Final = 3600.0
"""How long the provider's description and keys are used; an unknown key is looked for at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Somebody on the way to the provider; only the browser that leaves so can come back."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """Who came back.

    Attributes:
        subject: ``issuer subject``, which never changes.
        name: To show.
        role: None: the provider gives none.
    """

    subject: str
    name: str
    role: Role | None


class Provider:
    """An OpenID provider. Any number of threads may use one object.

    Args:
        known: How it is reached.
        redirect_uri: Where it sends people back to.
    """

    def __init__(self, known: IdentityProvider, redirect_uri: str) -> None:
        self._known = known
        self._redirect_uri = redirect_uri
        self._lock = threading.Lock()
        self._described: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def depart(self, now: float) -> Departure:
        """The way there.

        Raises:
            UpstreamError: The provider does not answer.
        """
        state, nonce, verifier = new_secret(), new_secret(), new_secret()
        with self._client() as client:
            where = self._description(client, now)["authorization_endpoint"]
            url, _ = client.create_authorization_url(
                where, state=state, nonce=nonce, code_verifier=verifier
            )
        return Departure(url=url, state=state, nonce=nonce, verifier=verifier)

    def arrive(self, code: str, *, nonce: str, verifier: str, now: float) -> Claimed:
        """Who it is that brings a code.

        Raises:
            UpstreamError: The provider does not answer.
            ForbiddenError: It does not know the code, or what it says is not to be believed.
        """
        with self._client() as client:
            description = self._description(client, now)
            try:
                token = client.fetch_token(
                    description["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                )
            except OAuthError:
                raise ForbiddenError("The identity provider did not accept the login.") from None
            except (httpx2.HTTPError, ValueError) as error:
                raise UpstreamError(_WORDS) from error
            claims = self._claims(client, token, nonce, now)
        name = claims.get(self._known.name_claim) or claims.get("email") or claims["sub"]
        return Claimed(
            subject=f"{self._known.issuer} {claims['sub']}",
            name="".join(each for each in str(name) if each.isprintable())[:64].strip(),
            role=role_of(claims, self._known),
        )

    def _client(self) -> OAuth2Client:
        return OAuth2Client(
            client_id=self._known.client_id,
            client_secret=self._known.client_secret,
            scope=self._known.scope,
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            timeout=_TIMEOUT_S,
            verify=_trusted(self._known.ca_file),
        )

    def _description(self, client: OAuth2Client, now: float) -> dict[str, Any]:
        with self._lock:
            if self._described is not None and 0 <= now - self._described[0] < _KEPT_S:
                return self._described[1]
        found = _read(client, f"{self._known.issuer.rstrip('/')}/.well-known/openid-configuration")
        needed = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if found.get("issuer") != self._known.issuer or not all(found.get(key) for key in needed):
            raise UpstreamError(
                "What the identity provider says of itself does not fit to console.oidc.issuer."
            )
        with self._lock:
            self._described = (now, found)
        return found

    def _claims(
        self, client: OAuth2Client, token: Mapping[str, Any], nonce: str, now: float
    ) -> Mapping[str, Any]:
        wanted = {
            "iss": {"essential": True, "value": self._known.issuer},
            "aud": {"essential": True, "value": self._known.client_id},
        }
        more = {
            "nonce": nonce,
            "client_id": self._known.client_id,
            "access_token": token.get("access_token"),
        }
        try:
            signed = self._decoded(client, str(token.get("id_token", "")), now)
            claims = CodeIDToken(signed.claims, signed.header, wanted, more)
            claims.validate(now=int(now), leeway=_LEEWAY_S)
        except (JoseError, ValueError, KeyError, TypeError):
            raise ForbiddenError(
                "What the identity provider says about you cannot be believed. Log in again."
            ) from None
        return dict(signed.claims)

    def _decoded(self, client: OAuth2Client, text: str, now: float) -> jwt.Token:
        for fresh in (False, True):  # a provider that changed its keys names one we do not know yet
            try:
                return jwt.decode(text, self._key_set(client, now, fresh=fresh), _ALGORITHMS)
            except (JoseError, ValueError):
                if fresh:
                    raise
        raise AssertionError

    def _key_set(self, client: OAuth2Client, now: float, *, fresh: bool) -> KeySet:
        with self._lock:
            if not fresh and self._keys is not None and 0 <= now - self._keys[0] < _KEPT_S:
                return self._keys[1]
        found: Any = _read(client, self._description(client, now)["jwks_uri"])
        keys = KeySet.import_key_set(found)
        with self._lock:
            self._keys = (now, keys)
        return keys


def role_of(claims: Mapping[str, Any], known: IdentityProvider) -> Role | None:
    """The highest role that what is claimed makes; the default one without any."""
    found: Any = claims
    for part in known.roles_claim.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    values = {found} if isinstance(found, str) else set()
    if isinstance(found, list):
        values = {each for each in found if isinstance(each, str)}
    roles = [role for value, role in known.roles if value in values]
    return max(roles, key=list(Role).index, default=known.default_role)


_WORDS: Final = "The identity provider does not answer. Try again, or log in with a password."


def _read(client: OAuth2Client, url: str) -> dict[str, Any]:
    try:
        answer = client.request("GET", url, withhold_token=True)
        answer.raise_for_status()
        found = answer.json()
    except (httpx2.HTTPError, ValueError) as error:
        raise UpstreamError(_WORDS) from error
    if not isinstance(found, dict):
        raise UpstreamError(_WORDS)
    return found


def _trusted(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise UpstreamError("console.oidc.ca_file cannot be read.") from error
