"""What a look is made of beyond its colours: sheen, a material's direction, transparency that is seen; and its way to another photo."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from selenium.webdriver.support.select import Select

from tools.studio.browser import ROOM, Browser

pytestmark = pytest.mark.server


def choice(browser: Browser, label: str, value: str) -> None:
    """Choose one of a few words."""
    slides = browser.until(label, lambda: [slide for slide in browser.all("label.slide") if slide.text.startswith(label)])
    Select(slides[0].find_element("tag name", "select")).select_by_visible_text(value)
    browser.settle()


def edits(browser: Browser) -> dict[str, object]:
    edits: dict[str, object] = browser.document()["looks"][0]["edits"]
    return edits


def other_room() -> bytes:
    out = io.BytesIO()
    Image.open(ROOM).transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((480, 320)).save(out, "JPEG")
    return out.getvalue()


def test_a_look_with_sheen_and_direction_goes_to_another_photo(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Wall")
    browser.color("#7C9082")
    choice(browser, "Sheen", "Matte")
    browser.choose("Floor")
    browser.press("Material")
    browser.all(".texture")[0].click()
    browser.settle()
    assert browser.all(".handle")
    choice(browser, "Direction", "Across the room")
    browser.until("no handles", lambda: not browser.driver.find_elements("css selector", ".handle"))
    wanted = {
        "Wall": {"action": "recolor", "value": {"color": "#7C9082", "sheen": "matte"}},
        "Floor": {"action": "texture", "value": {"texture": "oak_planks", "direction": "across"}},
    }
    assert edits(browser) == wanted
    browser.press("Undo")
    browser.until(
        "what is said", lambda: browser.driver.find_element("css selector", "[role=status]").get_attribute("textContent") == "Undone."
    )
    browser.press("Redo")
    browser.settle()
    (look,) = browser.job()["looks"]
    assert look["concepts"] == wanted

    first = browser.document()["photo"]
    browser.open_room("other.jpg", other_room())
    browser.until("the other photo", lambda: browser.document()["photo"] != first)
    assert edits(browser) == {}
    browser.press("The looks of the photo before")
    browser.settle()
    browser.driver.refresh()
    browser.until("what is worked on", lambda: browser.text("#edit-title") == "Wall")
    assert edits(browser) == wanted
    assert not [b for b in browser.all("button") if b.text == "The looks of the photo before"]


def test_what_is_changed_is_seen_as_it_is(browser: Browser) -> None:
    """No light on it, though the pointer is still where it was chosen, and a chessboard behind what is transparent."""
    browser.open_room()
    browser.choose("Sofa")
    lit = browser.pixel_at_center(0)
    browser.color("#AA3322")
    seen = browser.pixel_at_center(0)
    browser.rest()
    assert seen == browser.pixel_at_center(0) != lit

    browser.choose("Wall")
    browser.press("Remove")
    browser.press("Make transparent (PNG, WebP)")
    browser.settle()
    assert {tuple(browser.pixel(0.45 + step / 100, 0.3)) for step in range(6)} == {(255, 255, 255), (212, 212, 212)}
