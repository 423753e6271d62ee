"""The studio for everyone: axe finds nothing, in light and dark, at two widths; the keyboard is enough; Korean is all there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tools.studio.browser import DESKTOP, PHONE, PROJECT, ROOM, Browser

pytestmark = pytest.mark.server
AXE = Path(__file__).parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
STATIC = PROJECT / "orchestrator" / "api" / "studio" / "static"
# Only colours change with the scheme.
RULES = {"dark": ["color-contrast"], "light": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
CHECK = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: arguments[0]})
  .then((result) => done(result.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(" | ")}`)));
"""


def check(browser: Browser, artefacts: Path, state: str) -> None:
    """What axe finds at both widths, in light and dark; a screenshot of each width."""
    if not AXE.is_file():
        pytest.skip("no axe-core: `npm install --prefix tests/studio/node` brings it")
    for name, size in (("desktop", DESKTOP), ("phone", PHONE)):
        browser.size(size)
        browser.settle()
        browser.rest()
        for scheme in ("dark", "light"):
            browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
            if not browser.driver.execute_script("return 'axe' in window"):
                browser.driver.execute_script(AXE.read_text())
            found = browser.driver.execute_async_script(CHECK, RULES[scheme])
            assert not found, (state, name, scheme, found)
            # Not innerWidth: on a phone, that grows with what is too wide.
            wide = browser.driver.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{state}: the page is {wide} pixels wider than a {name}"
            if name == "desktop" and state != "1-start":
                assert browser.driver.execute_script("return document.documentElement.scrollHeight - innerHeight") <= 0, state
            browser.shot(artefacts / f"{state}-{name}{'-dark' if scheme == 'dark' else ''}.png")
    browser.size(DESKTOP)


def test_axe_finds_nothing_in_any_state(browser: Browser, artefacts: Path) -> None:
    browser.driver.set_script_timeout(60)
    check(browser, artefacts, "1-start")
    browser.open_room("room.jpg", ROOM.read_bytes())
    check(browser, artefacts, "2-found")
    browser.choose("Wall")
    browser.color("#7C9082")
    check(browser, artefacts, "3-measured")
    browser.press("Brush")
    browser.stroke((0.3, 0.85), (0.5, 0.9))
    check(browser, artefacts, "4-mending")
    browser.press("Point")
    browser.press("+ Another look")
    browser.choose("Floor")
    browser.press("Material")
    browser.all(".texture")[0].click()
    browser.until("handles", lambda: browser.driver.find_elements(By.CSS_SELECTOR, ".handle"))
    check(browser, artefacts, "5-material")
    browser.press("Side by side")
    check(browser, artefacts, "6-side-by-side")


def test_the_keyboard_is_enough_to_choose_colour_and_mend(browser: Browser) -> None:
    browser.open_room()
    browser.until("the end of the search to be heard", lambda: re.search(r"Found in the photo: [1-9]", browser.heard()))
    canvas = browser.one(".stage canvas")
    canvas.send_keys(*([Keys.ARROW_UP] * 12), Keys.ENTER)
    assert browser.text("#edit-title") == "Wall"
    active = browser.driver.switch_to
    browser.one("input[type=search]").send_keys(Keys.TAB)
    active.active_element.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_LEFT)
    assert active.active_element == browser.all(".families .swatch")[6], "the first grey, below the first white"
    active.active_element.send_keys(Keys.ENTER)
    browser.settle()
    active.active_element.send_keys(Keys.TAB)
    assert "swatch" not in str(active.active_element.get_attribute("class")), "the palette is one stop"
    assert [slider.accessible_name for slider in browser.all("input[type=range]")][-1].startswith("Strength")
    assert browser.text(".measured")
    canvas.send_keys("e")
    canvas.send_keys(Keys.ENTER)
    browser.until("the mended mask", lambda: "mended" in browser.text(".chip[aria-pressed=true]"))
    download = browser.one("#download")
    download.send_keys(Keys.ENTER)
    browser.until("the picture", lambda: "Saved" in browser.heard())
    assert browser.driver.switch_to.active_element == download
    # A button that is gone once it is pressed: the keyboard stays where it was, and not at the beginning of the page.
    browser.button("Leave Wall as it was").send_keys(Keys.ENTER)
    browser.until("the focus", lambda: browser.driver.switch_to.active_element.get_attribute("aria-labelledby") == "edit-title", 10)


def test_korean_has_every_text_and_the_page_speaks_it(browser: Browser) -> None:
    english, korean = (json.loads((STATIC / "texts" / f"{tag}.json").read_text(encoding="utf-8")) for tag in ("en", "ko"))
    assert set(english) <= set(korean)
    names = re.compile(r"\{\w+\}")
    assert [key for key in english if sorted(names.findall(english[key])) != sorted(names.findall(korean[key]))] == []
    sources = "".join(file.read_text(encoding="utf-8") for file in STATIC.glob("js/**/*.js"))
    assert sorted(set(re.findall(r'\bt\("([a-z.]+)"', sources)) - set(english)) == []
    browser.one(".language select").send_keys("한")
    browser.until("Korean", lambda: browser.driver.find_element(By.TAG_NAME, "html").get_attribute("lang") == "ko")
    assert browser.text("h2") == korean["start.title"]
