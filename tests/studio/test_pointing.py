"""What is meant of a photo: surfaces told apart, boxes for SAM3, polygons, and what is done to a whole mask."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tools.studio.browser import PROJECT, Browser

pytestmark = pytest.mark.server
TWO_WALLS = (PROJECT / "respray" / "demo" / "photos" / "room_5.jpg").read_bytes()
"""A cabinet stands between the wall on the left and the rest of it."""
LEFT, BELOW, REST = (0.1, 0.2), (0.1, 0.4), (0.66, 0.15)


def mask_of(browser: Browser, concept: str) -> Any:
    """The mended mask that goes into the job, 0..255 [h,w]."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(browser.document()["masks"][concept]))).convert("L"))


def test_a_click_on_another_wall_gives_it_a_colour_of_its_own(browser: Browser) -> None:
    browser.open_room("two walls.jpg", TWO_WALLS)
    browser.choose("Wall")
    browser.color("#7C9082")
    browser.click_photo(*LEFT)
    assert browser.text("#edit-title") == "Wall 2"
    browser.color("#A3553B")
    (left_red, left_green, _), (red, green, _) = browser.pixel(*BELOW), browser.pixel(*REST)
    assert left_red > left_green + 40 and green > red + 10
    assert all(code in browser.text(".measured") for code in ("#7C9082", "#A3553B"))
    one, other = browser.job()["looks"][0]["concepts"]["Wall"]
    assert (one["value"], other["value"]) == ("#7C9082", "#A3553B")
    assert one["not_at"] == other["at"] and "at" not in one
    browser.click_photo(*REST)
    assert browser.text("#edit-title") == "Wall"


def test_a_surface_of_its_own_goes_back_to_its_concept(browser: Browser) -> None:
    browser.open_room("two walls.jpg", TWO_WALLS)
    browser.choose("Wall")
    browser.color("#7C9082")
    browser.click_photo(*LEFT)
    browser.press("Same as Wall again")
    browser.settle()
    assert browser.job()["looks"][0]["concepts"]["Wall"] == {"action": "recolor", "value": "#7C9082"}


def test_boxes_are_shown_on_the_photo_undone_and_part_of_the_job(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Sofa")
    browser.color("#7C9082")
    browser.press("Box")
    browser.stroke((0.45, 0.45), (0.85, 0.7))
    browser.stroke((0.55, 0.6), (0.7, 0.8), Keys.SHIFT)
    browser.until("what became of them", lambda: "the boxes of 'Sofa' were not used" in browser.text(".selected"))
    assert [len(browser.driver.find_elements(By.CSS_SELECTOR, f".marks .{kind}")) for kind in ("yes", "no")] == [1, 1]
    sofa = browser.job()["looks"][0]["concepts"]["Sofa"]
    np.testing.assert_allclose(sofa["boxes"], [[0.45, 0.45, 0.85, 0.7]], atol=0.01)
    np.testing.assert_allclose(sofa["not_boxes"], [[0.55, 0.6, 0.7, 0.8]], atol=0.01)
    browser.press("Undo")
    assert not browser.driver.find_elements(By.CSS_SELECTOR, ".marks .no")
    browser.click_photo(0.5, 0.5)
    assert "boxes" not in browser.job()["looks"][0]["concepts"]["Sofa"], "a click takes a box away"


def test_the_keyboard_draws_a_box(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Floor")
    canvas = browser.one(".stage canvas")
    canvas.send_keys("r", Keys.ARROW_DOWN, Keys.ENTER, *([Keys.ARROW_RIGHT] * 5), *([Keys.ARROW_DOWN] * 4), Keys.ENTER)
    assert browser.document()["boxes"]["Floor"]["boxes"] == [[0.5, 0.52, 0.6, 0.6]]


def test_a_polygon_is_added_with_straight_sides(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Wall")
    browser.press("Polygon")
    for corner in ((0.3, 0.8), (0.5, 0.8), (0.5, 0.95)):
        browser.click_photo(*corner)
    browser.canvas_at(0.3, 0.95).double_click().perform()
    browser.until("the mask", lambda: "Wall" in browser.document()["masks"])
    mask = mask_of(browser, "Wall")
    height, width = mask.shape
    inside = mask[int(0.83 * height) : int(0.92 * height), int(0.32 * width) : int(0.48 * width)]
    assert inside.min() == 255 and mask[int(0.87 * height), int(0.55 * width)] == 0


def test_a_mask_grows_shrinks_and_has_its_holes_filled(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Sofa")
    browser.press("Eraser")
    browser.stroke((0.75, 0.52), (0.77, 0.52))  # within the seat
    selected = [(mask_of(browser, "Sofa") >= 128).sum()]
    for how in ("Fill holes", "Grow", "Shrink", "Shrink"):
        browser.press(how)
        selected.append((mask_of(browser, "Sofa") >= 128).sum())
    holed, filled, grown, same, less = selected
    assert holed < filled < grown and less < same < grown and abs(int(same) - int(filled)) < 0.05 * filled


def test_a_stroke_that_selects_nothing_is_not_kept(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Ceiling")
    browser.press("Eraser")
    ActionChains(browser.driver).send_keys(*("]" * 12)).perform()
    browser.stroke((0.05, 0.03), (0.95, 0.03))
    assert "A mask of nothing" in browser.driver.execute_script("return document.querySelector('[role=status]').textContent")
    assert browser.document()["masks"] == {}
