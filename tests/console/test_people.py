"""Admins say who may log in and as what; everybody changes their own password."""

from __future__ import annotations

import pytest

from dicom_node.domain.accounts import Role
from tests.console.conftest import PASSWORD, Bench, Browser


def test_an_admin_makes_an_account_that_may_log_in(bench: Bench, admin: Browser) -> None:
    made = admin.submit("/accounts", name="nora", role="operator", password="a long new password")
    assert made.headers["location"] == "/accounts"
    assert "nora may log in as operator." in admin.get("/accounts").text
    assert bench.browser().log_in("nora", "a long new password").status_code == 303
    assert "a long new password" not in str(bench.audited)
    account = bench.ledger.accounts().account("nora")
    assert account is not None
    assert account.role is Role.OPERATOR
    assert bench.ledger.accounts().password_hash(account.id).startswith("$argon2id$")


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "short"},
        {"password": "nora is a long password"},
        {"name": "  "},
        {"name": "two\nlines"},
        {"name": "ADA"},
        {"role": "king"},
    ],
)
def test_what_is_no_account_is_not_made(
    bench: Bench, admin: Browser, wrong: dict[str, str]
) -> None:
    form = {"name": "nora", "role": "viewer", "password": "a long new password"} | wrong
    assert admin.submit("/accounts", **form).status_code in (409, 422)
    assert [each.name for each in bench.ledger.accounts().accounts()] == ["ada"]


def test_another_role_counts_at_once_and_ends_the_session_of_before(
    bench: Bench, admin: Browser
) -> None:
    otto = bench.browser("otto", Role.OPERATOR)
    account = bench.ledger.accounts().account("otto")
    assert account is not None
    assert admin.submit(f"/accounts/{account.id}/role", role="viewer").status_code == 303
    assert otto.get("/").status_code == 303
    assert bench.browser("otto").get("/accounts").status_code == 403


def test_a_disabled_account_may_log_in_no_more_until_it_is_enabled(
    bench: Bench, admin: Browser
) -> None:
    otto = bench.browser("otto", Role.OPERATOR)
    account = bench.ledger.accounts().account("otto")
    assert account is not None
    admin.submit(f"/accounts/{account.id}/disable")
    assert otto.get("/").status_code == 303
    assert bench.browser().log_in("otto").status_code == 401
    admin.submit(f"/accounts/{account.id}/enable")
    assert bench.browser().log_in("otto").status_code == 303


def test_the_last_admin_cannot_lock_everybody_out(bench: Bench, admin: Browser) -> None:
    account = bench.ledger.accounts().account("ada")
    assert account is not None
    assert admin.submit(f"/accounts/{account.id}/disable").status_code == 409
    assert admin.submit(f"/accounts/{account.id}/role", role="viewer").status_code == 409
    assert admin.get("/accounts").status_code == 200


def test_nobody_but_an_admin_changes_accounts(bench: Bench, operator: Browser) -> None:
    account = bench.ledger.accounts().account("otto")
    assert account is not None
    form = {"name": "nora", "role": "admin", "password": "a long new password"}
    assert operator.submit("/accounts", **form).status_code == 403
    assert operator.submit(f"/accounts/{account.id}/role", role="admin").status_code == 403
    assert operator.get("/accounts").status_code == 403
    assert bench.ledger.accounts().accounts() == (account,)


def test_a_person_changes_the_password_with_the_old_one(bench: Bench, viewer: Browser) -> None:
    new = "another long password"
    assert viewer.submit("/account/password", old="wrong", new=new).status_code == 422
    assert viewer.submit("/account/password", old=PASSWORD, new="short").status_code == 422
    assert viewer.submit("/account/password", old=PASSWORD, new=new).status_code == 303
    assert viewer.get("/").status_code == 303, "all sessions end"
    assert bench.browser().log_in("vera", PASSWORD).status_code == 401
    assert bench.browser().log_in("vera", new).status_code == 303


def test_guessing_the_old_password_is_slowed_down(bench: Bench, viewer: Browser) -> None:
    answers = [
        viewer.submit("/account/password", old="guess", new="another long password").status_code
        for _ in range(6)
    ]
    assert answers == [422] * 5 + [429]
