"""Nobody sees a page who did not log in, and a login is only what it should be."""

from __future__ import annotations

from dicom_node.domain.accounts import Role
from tests.console.conftest import PASSWORD, Bench, Browser


def test_a_page_without_a_login_sends_to_the_login(bench: Bench) -> None:
    assert bench.browser().get("/").headers["location"] == "/login"


def test_with_the_right_password_the_first_page_is_shown(bench: Bench) -> None:
    answer = bench.browser("ada", Role.ADMIN).get("/")
    assert answer.status_code == 200
    assert "SYNTH" in answer.text


def test_a_wrong_password_and_a_wrong_name_are_told_alike(bench: Bench) -> None:
    bench.browser("ada", Role.ADMIN)
    wrong = [bench.browser().log_in(name, "wrong password") for name in ("ada", "nobody")]
    assert [answer.status_code for answer in wrong] == [401, 401]
    assert all("Name or password is wrong." in answer.text for answer in wrong)
    assert bench.audited[-1].outcome != bench.audited[0].outcome


def test_after_five_failures_even_the_right_password_has_to_wait(bench: Bench) -> None:
    bench.browser("ada", Role.ADMIN)
    for _ in range(5):
        assert bench.browser().log_in("ada", "wrong").status_code == 401
    answer = bench.browser().log_in("ada", PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0
    bench.clock.now += 61
    assert bench.browser().log_in("ada", PASSWORD).status_code == 303


def test_a_session_ends_when_it_is_idle_and_when_it_is_old(bench: Bench) -> None:
    browser = bench.browser("ada", Role.ADMIN)
    for _ in range(3):
        bench.clock.now += 3000
        assert browser.get("/").status_code == 200
    bench.clock.now += 3601
    assert browser.get("/").status_code == 303
    busy = bench.browser("ada")
    began = bench.clock.now
    while bench.clock.now < began + 43200:
        bench.clock.now += 3000
        last = busy.get("/")
    assert last.status_code == 303


def test_a_login_gives_a_new_session_and_ends_the_old_one(bench: Bench) -> None:
    browser = bench.browser("ada", Role.ADMIN)
    old = browser.cookies["dicom_node_session"]
    bench.browser("otto", Role.OPERATOR)
    browser.cookies.delete("dicom_node_session")
    browser.cookies.set("dicom_node_session", old, domain="console.test", path="/")
    browser.get("/login")
    form = browser.get("/login")
    assert form.status_code == 303, "logged in already"
    assert browser.submit("/logout").status_code == 303
    browser.cookies.set("dicom_node_session", old, domain="console.test", path="/")
    assert browser.get("/").status_code == 303, "the cookie of before is worth nothing"


def test_logging_out_everywhere_ends_every_session(bench: Bench) -> None:
    first, second = bench.browser("ada", Role.ADMIN), bench.browser("ada")
    assert second.submit("/logout/everywhere").status_code == 303
    assert first.get("/").status_code == 303


def test_a_changed_password_ends_all_sessions(bench: Bench, admin: Browser) -> None:
    accounts = bench.ledger.accounts()
    account = accounts.account("ADA")
    assert account is not None
    accounts.change_account(account.id, password_hash="x", now=bench.clock())
    assert admin.get("/").status_code == 303


def test_the_last_admin_stays(bench: Bench, admin: Browser) -> None:
    from dicom_node.domain.errors import IntegrityError

    account = bench.ledger.accounts().account("ada")
    assert account is not None
    for change in ({"disabled": True}, {"role": Role.VIEWER}):
        try:
            bench.ledger.accounts().change_account(account.id, now=bench.clock(), **change)
        except IntegrityError as error:
            assert "last admin" in str(error)
        else:
            raise AssertionError("nobody could log in any more")
    assert admin.get("/").status_code == 200


def test_who_is_lost_finds_the_way_back(bench: Bench) -> None:
    lost = bench.browser("vera").get("/nowhere")
    assert lost.status_code == 404
    assert "To the first page" in lost.text
    assert ">Jobs</a>" in lost.text
    stranger = bench.browser().get("/nowhere")
    assert stranger.status_code == 404
    assert "To the login" in stranger.text
    assert ">Jobs</a>" not in stranger.text
