"""Every page, as who cannot see well or has no mouse meets it: what WCAG 2.2 AA asks, measured.

The browser computes colours, names and sizes; the figures are those of the page that people get,
not of the stylesheet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from dicom_node.console.parts import Part
from dicom_node.domain.accounts import Role
from dicom_node.domain.errors import EngineError
from dicom_node.domain.jobs import JobState
from tests.console.browsing import chromium, logged_in, needs_chromium, served
from tests.console.routing import a_desk
from tests.services.test_queueing import FakeArchive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from tests.console.routing import Desk

pytestmark = [needs_chromium, pytest.mark.slow]

PAGES: Final = (
    "/",
    "/jobs",
    "/jobs/DONE",
    "/jobs/STUCK",
    "/jobs/STUCK/cancel/confirm",
    "/images",
    "/images/1",
    "/quarantine",
    "/fetch",
    "/routes",
    "/routes/edit/rest",
    "/routes/new",
    "/routes/text",
    "/routes/try",
    "/routes/versions",
    "/routes/versions/2",
    "/peers",
    "/peers/edit/ct",
    "/destinations",
    "/destinations/new",
    "/models",
    "/accounts",
    "/tokens",
    "/account",
    "/nowhere",
)

WRONG: Final = """() => {
  const found = [];
  const say = (what, each) => found.push(`${what}: ${each.outerHTML.slice(0, 120)}`);
  const shown = (each) => each.checkVisibility({checkVisibilityCSS: true, checkOpacity: true})
    && each.getBoundingClientRect().width > 1;

  const light = (channel) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  const painter = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const over = (colours) => {  // what is seen of colours that lie on each other, the lowest first
    painter.clearRect(0, 0, 1, 1);
    for (const colour of colours) { painter.fillStyle = colour; painter.fillRect(0, 0, 1, 1); }
    const [red, green, blue] = painter.getImageData(0, 0, 1, 1).data;
    return 0.2126 * light(red) + 0.7152 * light(green) + 0.0722 * light(blue);
  };
  const grounds = (each) => {
    const all = [];
    for (let at = each; at !== null; at = at.parentElement)
      all.unshift(getComputedStyle(at).backgroundColor);
    return ['white', ...all];
  };
  const contrast = (each, colour) => {
    const below = grounds(each);
    const [dark, bright] = [over(below), over([...below, colour])].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const least = (style) => {
    const size = parseFloat(style.fontSize);
    return size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
  };
  for (const each of document.querySelectorAll('body *')) {
    const own = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !shown(each) || each.closest('svg, option, :disabled')) continue;
    const style = getComputedStyle(each);
    const ratio = contrast(each, style.color);
    if (ratio < least(style)) say(`contrast ${ratio.toFixed(2)}`, each);
  }
  for (const each of document.querySelectorAll('[placeholder]')) {
    const ratio = contrast(each, getComputedStyle(each, '::placeholder').color);
    if (shown(each) && ratio < 4.5) say(`contrast of the placeholder ${ratio.toFixed(2)}`, each);
  }

  const name = (each) => (each.getAttribute('aria-label')
    ?? ([...(each.labels ?? [])].map((label) => label.textContent).join(' ')
        || each.textContent || each.title)).trim();
  const controls = 'a[href], button, input, select, textarea, summary';
  for (const each of document.querySelectorAll(controls)) {
    if (each.type === 'hidden' || !shown(each)) continue;
    if (!name(each)) say('no name', each);
    const label = each.getAttribute('aria-label'), text = each.textContent.trim();
    if (label && /^[\\w ]+$/.test(text) && each.matches('a, button, summary')
        && !label.toLowerCase().includes(text.toLowerCase())) say('not called as it reads', each);
    const box = each.getBoundingClientRect();
    const alone = getComputedStyle(each).display !== 'inline' && !each.closest('label');
    if (alone && Math.min(box.width, box.height) < 24) say('too small to be hit', each);
  }
  for (const each of document.querySelectorAll('[id]'))
    if (document.querySelectorAll(`#${CSS.escape(each.id)}`).length > 1) say('id twice', each);
  for (const each of document.querySelectorAll('th'))
    if (!each.textContent.trim()) say('no heading', each);
  for (const each of document.querySelectorAll('img'))
    if (!each.hasAttribute('alt')) say('no words for a picture', each);
  for (const each of document.querySelectorAll('main *')) {
    const scrolls = /auto|scroll/.test(getComputedStyle(each).overflowX);
    if (scrolls && each.scrollWidth > each.clientWidth + 1 && each.tabIndex < 0
        && !each.querySelector('a, button, input, select, textarea')) say('no way to scroll', each);
  }
  const headings = [...document.querySelectorAll('h1, h2, h3')].filter(shown);
  const levels = headings.map((each) => Number(each.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) found.push(`headings: ${levels}`);
  if (levels.some((level, place) => level > (levels[place - 1] ?? 0) + 1))
    found.push(`headings skip: ${levels}`);
  if (!document.title || !document.documentElement.lang) found.push('no title or language');
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A node on a bad morning: every kind of notice, mark and button is on some page."""
    with a_desk(tmp_path_factory.mktemp("desk")) as made:
        made.site.write("models:\n", "models:\n  bundled: {path: bundled}\n")
        bench = made.bench
        bench.done(1, AccessionNumber="A1")
        bench.receive(2)
        bench.node.plan()
        bench.node.engine.failures = [EngineError("the engine ended with signal 9")] * 9
        while bench.ledger.jobs()[0].job.state is not JobState.QUARANTINED:
            bench.node.synthesize()
            bench.clock.now += 500
        bench.more["fetches"] = bench.fetches(FakeArchive())
        bench.more["health"] = lambda: (
            Part(name="destination pacs", problem="connection refused", at=1.0),
            Part(name="engine 0", words="idle", at=1.0),
            Part(name="certificate", words="ends in 9 days", warns=True, at=1.0),
        )
        yield made


@pytest.fixture(scope="module")
def address(desk: Desk) -> Iterator[str]:
    with served(desk.bench) as found:
        yield found


def opened(page: Page, desk: Desk, path: str) -> None:
    """A page with all that can be unfolded unfolded."""
    stuck, done = (row.job.key for row in desk.bench.ledger.jobs()[:2])
    page.goto(path.replace("DONE", done).replace("STUCK", stuck))
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")


@pytest.mark.parametrize("width", [1366, 390], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_can_be_read_named_and_hit(
    browser: Browser, desk: Desk, address: str, scheme: str, width: int
) -> None:
    look: Any = {"color_scheme": scheme, "viewport": {"width": width, "height": 844}}
    page = logged_in(browser, desk.bench, address, "ada", Role.ADMIN, **look)
    wrong = []
    for path in PAGES:
        opened(page, desk, path)
        wrong += [f"{path}: {each}" for each in page.evaluate(WRONG)]
    page.context.close()
    assert not wrong, "\n".join(wrong)


def test_what_is_wrong_is_found(browser: Browser, desk: Desk, address: str) -> None:
    page = logged_in(browser, desk.bench, address, "ada", Role.ADMIN)
    page.evaluate(
        """() => {
          const main = document.querySelector('main');
          const add = (html) => main.insertAdjacentHTML('beforeend', html);
          add('<p>grey on white</p><button>x</button><button></button><h1>Again</h1><th></th>');
          add('<a href=/ aria-label=Other>This one</a>');
          main.querySelector(':scope > p').style.color = '#999';
          main.querySelector(':scope > button').style.cssText = 'padding: 0; width: 9px';
        }"""
    )
    found = " ".join(page.evaluate(WRONG))
    for words in ("contrast 2", "no name", "too small", "headings: ", "not called as it reads"):
        assert words in found
    page.context.close()


def test_every_control_is_reached_by_the_keyboard_and_seen_there(
    browser: Browser, desk: Desk, address: str
) -> None:
    page = logged_in(browser, desk.bench, address, "ada", Role.ADMIN)
    for path in ("/", "/quarantine", "/routes/edit/rest", "/destinations"):
        page.goto(path)
        wanted = page.evaluate(
            """() => [...document.querySelectorAll('a[href], button, input, select, summary')]
              .filter((each) => each.type !== 'hidden' && each.tabIndex >= 0)
              .filter((each) => each.checkVisibility()).length"""
        )
        reached, unseen = 0, []
        page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
        page.locator("body").press("Tab")
        first = page.evaluate("document.activeElement.textContent")
        assert first == "Skip to content"
        for _ in range(wanted + 5):
            here = page.evaluate(
                """() => {
                  const each = document.activeElement, style = getComputedStyle(each);
                  if (each === document.body || each.dataset.reached) return null;
                  each.dataset.reached = 'yes';
                  return [each.outerHTML.slice(0, 90), style.outlineStyle, style.outlineWidth];
                }"""
            )
            if here is None:
                break
            reached += 1
            if here[1] == "none" or here[2] == "0px":
                unseen.append(here[0])
            page.keyboard.press("Tab")
        assert reached >= wanted, f"{path}: {reached} of {wanted}"
        assert unseen == []
    page.context.close()
