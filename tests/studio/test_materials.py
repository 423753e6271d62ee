"""Materials and rugs on the photo, held by handles on their plane."""

from __future__ import annotations

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tools.studio.browser import Browser

pytestmark = pytest.mark.server


def tiled(browser: Browser) -> None:
    """Tiles on the floor, with handles."""
    browser.open_room()
    browser.choose("Floor")
    browser.press("Material")
    next(texture for texture in browser.all(".texture") if texture.text == "Square tile\nwith grout" or "Square" in texture.text).click()
    browser.settle()
    browser.until("three handles", lambda: len(browser.driver.find_elements(By.CSS_SELECTOR, ".handle")) == 3)


def value(browser: Browser) -> dict[str, object]:
    """How the material lies."""
    return dict(browser.document()["looks"][0]["edits"]["Floor"]["value"])


def test_handles_scale_turn_and_move_the_material(browser: Browser) -> None:
    tiled(browser)
    browser.drag(browser.one(".handle.grip"), 60, 20)
    scale = value(browser)["scale"]
    assert isinstance(scale, float) and 1.1 < scale < 3.0
    browser.drag(browser.one(".handle.knob"), 50, 5)
    rotation = value(browser)["rotation"]
    assert isinstance(rotation, int) and rotation != 0
    before = value(browser)["offset"]
    browser.drag(browser.one(".handle.move"), -40, 10)
    assert value(browser)["offset"] != before
    browser.settle()
    floor = browser.job()["looks"][0]["concepts"]["Floor"]["value"]
    assert floor == value(browser)
    browser.press("Undo")
    browser.press("Undo")
    browser.press("Undo")
    assert value(browser).get("scale", 1) == 1


def test_the_frame_lies_on_the_materials_own_lines(browser: Browser) -> None:
    """One repeat of the tiles is framed: its corners, moved onto a joint, are on joints of the picture that the worker made."""
    tiled(browser)
    points = "return [...document.querySelectorAll('.marks polygon.yes')].map((p) => p.getAttribute('points'))"
    corners = np.array([[float(v) for v in pair.split(",")] for pair in browser.driver.execute_script(points)[0].split(" ")])
    browser.drag(browser.one(".handle.move"), 30, 12)
    moved = np.array([[float(v) for v in pair.split(",")] for pair in browser.driver.execute_script(points)[0].split(" ")])
    assert np.all(np.linalg.norm(moved - corners, axis=1) > 15)
    # The far side is shorter than the near one: it lies on the floor and not on the screen.
    sides = sorted(np.linalg.norm(moved - np.roll(moved, -1, axis=0), axis=1))
    assert sides[-1] > 1.2 * sides[0]


def test_the_keyboard_holds_the_handles_too(browser: Browser) -> None:
    tiled(browser)
    browser.one(".handle.grip").send_keys(Keys.ARROW_RIGHT)
    browser.one(".handle.knob").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    browser.one(".handle.move").send_keys(Keys.ARROW_UP)
    lie = value(browser)
    assert lie["scale"] == 1.05 and lie["rotation"] == 2 and lie["offset"] != [0, 0]


def test_a_rug_lies_on_its_floor_within_its_corners(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Floor")
    browser.press("Material")
    browser.press("Lay Loop carpet as a rug on Floor")
    corners = browser.until("corners", lambda: browser.driver.find_elements(By.CSS_SELECTOR, ".handle.grip"))
    assert len(corners) == 4
    browser.settle()
    quad = np.array(browser.document()["looks"][0]["edits"]["Floor\n2"]["value"]["quad"])
    middle = quad.mean(axis=0)
    browser.press("Undo")
    browser.settle()
    bare, beside = browser.pixel(*middle), browser.pixel(0.1, 0.95)
    browser.press("Redo")
    browser.settle()
    assert browser.pixel(*middle) != bare and browser.pixel(0.1, 0.95) == beside
    browser.choose("Floor · rug 1")
    browser.drag(browser.all(".handle.grip")[2], 25, 10)
    pulled = np.array(browser.document()["looks"][0]["edits"]["Floor\n2"]["value"]["quad"])
    assert np.all(pulled[[0, 1, 3]] == quad[[0, 1, 3]]) and np.all(pulled[2] > quad[2])
    # The floor beneath keeps an edit of its own.
    browser.choose("Floor")
    browser.press("Colour")
    browser.color("#7C9082")
    floor, rug = browser.job()["looks"][0]["concepts"]["Floor"]
    assert floor["action"] == "recolor" and rug["value"]["quad"] == pulled.tolist()


def test_a_corner_cannot_be_pulled_where_no_rug_can_lie(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Floor")
    browser.press("Material")
    browser.press("Lay Loop carpet as a rug on Floor")
    browser.all(".handle.grip")
    browser.drag(browser.all(".handle.grip")[0], 600, 300)
    browser.settle()
    assert not browser.driver.find_elements(By.CSS_SELECTOR, ".alert")
