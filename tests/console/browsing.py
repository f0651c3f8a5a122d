"""A real browser before a served console."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from dicom_node.console.server import ConsoleServer
from dicom_node.domain.accounts import Role
from tests.console.conftest import HASH, PASSWORD, Bench

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM: Final = shutil.which("chromium")
SHOTS: Final = os.environ.get("DICOM_NODE_SCREENSHOTS")
"""A folder for pictures of the pages, to be looked at; not set: none are taken."""

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
    return log_in(open_page(browser, address, **context), name)


def log_in(page: Page, name: str) -> Page:
    """Somebody who has an account comes to the first page."""
    page.goto("/")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_selector("#today")
    return page


def shot(page: Page, name: str) -> None:
    """Pictures of a page as it is: on a desk in light and dark, and on a phone."""
    if not SHOTS:
        return
    size = page.viewport_size
    assert size is not None
    for look, scheme, width in (
        ("light", "light", None),
        ("dark", "dark", None),
        ("phone", "light", 390),
    ):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        if width is not None:
            page.set_viewport_size({"width": width, "height": 844})
        page.screenshot(path=Path(SHOTS) / f"{name}-{look}.png", full_page=True)
    page.set_viewport_size(size)


def complaints(page: Page, but: tuple[str, ...] = ()) -> list[str]:
    """What the browser said, but for a focus that it had already, and the style of a picture."""
    usual = ("Autofocus processing was blocked", *but, *(("inline style",) if SHOTS else ()))
    said: list[str] = page.said  # type: ignore[attr-defined]
    return [each for each in said if not any(part in each for part in usual)]
