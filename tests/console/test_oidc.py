"""People log in with the identity provider of their hospital, and only as it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import OctKey, RSAKey

from dicom_node.console.security import provider as module
from dicom_node.domain.accounts import Role
from dicom_node.domain.console import Access, IdentityProvider
from tests.console.conftest import Bench, Browser
from tests.console.identity_provider import CLIENT, SECRET
from tests.console.identity_provider import IdentityProvider as Fake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from httpx import Response


@pytest.fixture(scope="module")
def server() -> Iterator[Fake]:
    made = Fake()
    yield made
    made.close()


@pytest.fixture
def fake(server: Fake) -> Fake:
    server.claims, server.signing_key, server.algorithm = {}, None, "RS256"
    return server


@pytest.fixture
def here(bench: Bench, fake: Fake) -> Bench:
    bench.clock.now = 1_800_000_000.0
    bench.access = Access(
        public_url="http://console.test",
        provider=IdentityProvider(
            issuer=fake.issuer,
            client_id=CLIENT,
            client_secret=SECRET,
            roles=(("radiology", Role.VIEWER), ("pacs", Role.OPERATOR), ("boss", Role.ADMIN)),
        ),
    )
    return bench


def log_in(bench: Bench, fake: Fake, browser: Browser | None = None) -> tuple[Browser, Response]:
    browser = browser or bench.browser()
    away = browser.get("/login/oidc?next=/jobs")
    code, state = fake.let_in(away.headers["location"])
    return browser, browser.get(f"/login/oidc/callback?code={code}&state={state}")


def test_somebody_comes_back_logged_in_with_the_role_of_the_provider(
    here: Bench, fake: Fake
) -> None:
    assert "Log in with your hospital account" in here.browser().get("/login").text
    browser, answer = log_in(here, fake)
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
    text = browser.get("/").text
    assert ("nora" in text, "operator" in text) == (True, True)
    asked = fake.asked[-1]
    assert asked["redirect_uri"] == "http://console.test/login/oidc/callback"
    account = here.ledger.accounts().account("nora")
    assert account is not None
    assert account.subject == f"{fake.issuer} 1234"
    assert here.browser().log_in("nora", "").status_code == 401, "it has no password"
    assert SECRET not in repr(here.access)


def test_the_role_follows_the_provider_at_every_login(here: Bench, fake: Fake) -> None:
    here.browser("ada", Role.ADMIN)
    first, _ = log_in(here, fake)
    fake.claims = {"groups": ["radiology", "boss"], "preferred_username": "another"}
    second, _ = log_in(here, fake)
    assert second.get("/accounts").status_code == 200
    assert first.get("/").status_code == 303, "the session with the old role ended"
    assert len(here.ledger.accounts().accounts()) == 2


@pytest.mark.parametrize(
    "claims",
    [
        {"groups": ["cleaning"]},
        {"groups": None},
        {"groups": {"pacs": True}},
        {"aud": "another-client"},
        {"iss": "http://127.0.0.1:1"},
        {"nonce": "of another login"},
        {"nonce": None},
        {"exp": 1_799_000_000},
        {"sub": None},
        {"aud": [CLIENT, "b"], "azp": "b"},
    ],
)
def test_who_has_no_role_or_whose_token_is_not_for_us_stays_outside(
    here: Bench, fake: Fake, claims: dict[str, Any]
) -> None:
    fake.claims = claims
    browser, answer = log_in(here, fake)
    assert answer.status_code == 403
    assert browser.get("/").status_code == 303
    assert here.ledger.accounts().accounts() == ()
    assert here.audited[-1].outcome != 0


def test_a_token_signed_by_anybody_else_is_worth_nothing(here: Bench, fake: Fake) -> None:
    fake.signing_key = RSAKey.generate_key(2048, {"kid": "one"})
    assert log_in(here, fake)[1].status_code == 403
    fake.signing_key, fake.algorithm = OctKey.import_key(SECRET), "HS256"
    assert log_in(here, fake)[1].status_code == 403


def test_a_provider_may_change_its_keys(here: Bench, fake: Fake) -> None:
    assert log_in(here, fake)[1].status_code == 303
    fake.key = RSAKey.generate_key(2048, {"kid": "one"})
    assert log_in(here, fake)[1].status_code == 303


def test_a_login_that_began_in_another_browser_or_came_before_is_refused(
    here: Bench, fake: Fake
) -> None:
    thief = here.browser()
    code, state = fake.let_in(thief.get("/login/oidc").headers["location"])
    back = f"/login/oidc/callback?code={code}&state={state}"
    victim = here.browser()
    assert victim.get(back).status_code == 403, "nobody is logged in as somebody else unawares"
    victim.get("/login/oidc")
    assert victim.get(back).status_code == 403
    assert thief.get(back).status_code == 303
    assert thief.get(back).status_code == 403, "played again"
    assert here.browser().get("/login/oidc/callback").status_code == 403


def test_a_name_that_is_taken_does_not_open_that_account(here: Bench, fake: Fake) -> None:
    here.browser("Nora", Role.ADMIN)
    browser, _ = log_in(here, fake)
    assert browser.get("/accounts").status_code == 403
    names = {each.name: each.role for each in here.ledger.accounts().accounts()}
    assert names == {"Nora": Role.ADMIN, "nora (2)": Role.OPERATOR}


def test_a_disabled_account_does_not_come_back(here: Bench, fake: Fake) -> None:
    log_in(here, fake)
    account = here.ledger.accounts().account("nora")
    assert account is not None
    here.ledger.accounts().change_account(account.id, disabled=True, now=here.clock())
    assert log_in(here, fake)[1].status_code == 403


def test_a_provider_that_is_away_is_told_and_passwords_still_work(
    here: Bench,
) -> None:
    here.access = Access(
        public_url="http://console.test",
        provider=IdentityProvider(
            issuer="http://127.0.0.1:9", client_id=CLIENT, client_secret=SECRET
        ),
    )
    answer = here.browser().get("/login/oidc")
    assert answer.status_code == 502
    assert "does not answer" in answer.text
    assert here.browser("ada", Role.ADMIN).get("/").status_code == 200


def test_without_a_provider_there_is_no_such_page(bench: Bench) -> None:
    assert bench.browser().get("/login/oidc").status_code == 404
    assert "or with a password" not in bench.browser().get("/login").text


def test_the_way_there_asks_for_what_the_flow_needs(here: Bench, fake: Fake) -> None:
    url = here.browser().get("/login/oidc").headers["location"]
    asked = parse_qs(urlsplit(url).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["scope"] == ["openid profile"]
    assert url.startswith(f"{fake.issuer}/authorize?")


@pytest.mark.parametrize(
    ("claims", "role"),
    [
        ({"realm_access": {"roles": ["a", "b"]}}, Role.ADMIN),
        ({"realm_access": {"roles": "a"}}, Role.VIEWER),
        ({"realm_access": ["b"]}, None),
        ({}, None),
    ],
)
def test_roles_are_found_in_nested_claims(claims: dict[str, Any], role: Role | None) -> None:
    known = IdentityProvider(
        issuer="https://x",
        client_id="y",
        client_secret="z",
        roles_claim="realm_access.roles",
        roles=(("a", Role.VIEWER), ("b", Role.ADMIN)),
    )
    assert module.role_of(claims, known) is role
