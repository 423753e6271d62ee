"""The studio under fingers."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By

from tools.studio.browser import PHONE, Browser

pytestmark = pytest.mark.server
Fingers = list[tuple[float, float]]


def touch(browser: Browser, *moments: Fingers) -> None:
    """Fingers where they are one moment after the other (fractions of the stage), and off."""
    rect = browser.one(".stage canvas").rect
    for number, fingers in enumerate(moments):
        points = [
            {"x": rect["x"] + x * rect["width"], "y": rect["y"] + y * rect["height"], "id": finger} for finger, (x, y) in enumerate(fingers)
        ]
        kind = "touchMove" if number else "touchStart"
        browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    browser.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


# One page for both: after another was opened, Chromium sends the page no pointer events for touches that come from its debugger.
def test_a_tap_chooses_a_finger_paints_and_two_look_closer(browser: Browser) -> None:
    browser.size(PHONE)
    browser.open_room()

    def sofa() -> bool:
        touch(browser, [(0.5, 0.55)])
        return browser.text("#edit-title") in ("Sofa", "Armchair")

    browser.until("the sofa", sofa)  # masks come a moment after their names
    browser.press("Brush")
    touch(browser, [(0.3, 0.85)], [(0.35, 0.85)], [(0.45, 0.85)])
    browser.until("the mask", lambda: browser.document()["masks"])
    assert "mended" in browser.text(".chip[aria-pressed=true]")
    assert not browser.driver.find_elements(By.CSS_SELECTOR, ".alert")
    painted = browser.document()["masks"]
    touch(browser, [(0.4, 0.5), (0.6, 0.5)], [(0.3, 0.5), (0.7, 0.5)], [(0.2, 0.5), (0.8, 0.5)])
    assert browser.one(".stage canvas").get_attribute("class") == "tool-brush near"
    assert browser.document()["masks"] == painted
    touch(browser, [(0.2, 0.5), (0.8, 0.5)], [(0.4, 0.5), (0.6, 0.5)], [(0.45, 0.5), (0.55, 0.5)])
    browser.until("all of it", lambda: browser.one(".stage canvas").get_attribute("class") == "tool-brush fit")
