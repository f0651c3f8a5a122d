"""A real browser before a served console."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pytest

from dicom_node.console.server import ConsoleServer
from dicom_node.domain.accounts import Role
from tests.console.conftest import HASH, PASSWORD, Bench

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM: Final = shutil.which("chromium")
PATIENCE_MS: Final = 60_000
"""Conditions are waited for; a slow machine takes its time."""

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs chromium (Debian: chromium) on this machine"
)

_QUIET: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        yield browser
        browser.close()


@contextlib.contextmanager
def served(bench: Bench) -> Iterator[str]:
    """Address of a console on the loopback."""
    bench.access = replace(bench.access, port=0)
    server = ConsoleServer(bench.parts)
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


def open_page(browser: Browser, address: str, **context: Any) -> Page:
    """A page of a browser profile of its own; what its scripts complain of is in ``page.said``."""
    page = browser.new_context(base_url=address, **context).new_page()
    page.set_default_timeout(PATIENCE_MS)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.said = said  # type: ignore[attr-defined]
    return page


def logged_in(
    browser: Browser, bench: Bench, address: str, name: str, role: Role, **context: Any
) -> Page:
    """Somebody of a role before the first page, who came there as people do."""
    accounts = bench.ledger.accounts()
    if accounts.account(name) is None:
        accounts.add_account(name, role, password_hash=HASH, now=bench.clock())
    page = open_page(browser, address, **context)
    page.goto("/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("#today")
    return page
