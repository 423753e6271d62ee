"""How a photo comes in, and what becomes of the one before."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image
from selenium.webdriver.common.by import By

from tools.studio.browser import PROJECT, ROOM, Browser, small_room

pytestmark = pytest.mark.server
OTHER = (PROJECT / "respray" / "demo" / "photos" / "room_2.jpg").read_bytes()
PASTE = """
const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0)), data = new DataTransfer();
data.items.add(new File([bytes], "image.png"));
document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
"""


def size(browser: Browser) -> tuple[int, int]:
    """Of the photo that is worked on."""
    photo = browser.until("a photo", lambda: browser.document()["photo"])
    return photo["width"], photo["height"]


DROP_LINK = """
const data = new DataTransfer();
data.setData("text/uri-list", "https://photos.example/a.jpg");
document.querySelector("main").dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: data}));
"""


def test_a_phones_heic_is_shown_though_the_browser_cannot_read_it(browser: Browser) -> None:
    heif, out = pillow_heif.from_pillow(Image.open(ROOM).convert("RGB").resize((600, 400))), io.BytesIO()
    heif.save(out, quality=90)
    browser.open_room("IMG_0001.HEIC", out.getvalue())
    assert size(browser) == (600, 400)
    assert max(browser.pixel(0.62, 0.25)) > 100, "the photo is drawn"


def test_a_picture_is_pasted(browser: Browser) -> None:
    browser.driver.execute_script(PASTE, base64.b64encode(OTHER).decode())
    browser.all(".chip")
    assert size(browser) == Image.open(io.BytesIO(OTHER)).size


@pytest.mark.parametrize("field", ["input[type=file]:not([capture])", "input[capture=environment]"])
def test_a_file_is_chosen_and_a_camera_asked(browser: Browser, tmp_path: Path, field: str) -> None:
    file = tmp_path / "room.jpg"
    file.write_bytes(ROOM.read_bytes())
    browser.driver.find_element(By.CSS_SELECTOR, field).send_keys(str(file))
    browser.all(".chip")
    assert browser.document()["name"] == "room.jpg"


def test_a_link_that_is_dropped_is_said_to_be_no_file(browser: Browser) -> None:
    browser.driver.execute_script(DROP_LINK)
    browser.until("a word", lambda: "is a link or text, and no file" in browser.text(".alerts"), 10)


def test_of_several_files_one_is_opened_and_of_a_folder_none(browser: Browser, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(small_room())
    browser.drop_files(tmp_path)
    browser.until("the alert", lambda: f"Not opened: {tmp_path.name} is a folder" in browser.text(".alerts"))
    assert browser.all(".demo .photo")
    browser.drop_files(tmp_path / "a.jpg", tmp_path / "b.jpg")
    browser.all(".chip")
    assert browser.document()["name"] == "a.jpg"
    assert "One photo at a time: a.jpg is open, the rest is not (1)" in browser.text(".alerts")


def test_another_photo_is_dropped_on_the_work_and_undo_brings_the_work_back(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Wall")
    browser.color("#A3553B")
    browser.drop("other.jpg", OTHER)
    browser.until("the other photo", lambda: browser.document()["name"] == "other.jpg")
    browser.press("Undo")
    browser.until("the work", lambda: browser.document()["looks"][0]["edits"])
    browser.choose("Wall")
    browser.settle()
    assert "#A3553B" in browser.text(".measured")


def test_another_photo_is_not_chosen_after_all(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Wall")
    browser.color("#A3553B")
    browser.press("Another photo")
    browser.press("Back to the photo")
    browser.all(".chip")
    assert "#A3553B" in browser.text(".measured")
    for step in range(2):  # the browser's own buttons go the same ways
        browser.driver.back()
        browser.all(".demo .photo")
        if step:
            browser.driver.refresh()
            browser.all(".demo .photo")
        browser.driver.forward()
        browser.all(".chip")
        browser.until("what was measured", lambda: "#A3553B" in browser.text(".measured"))


def test_reloading_in_the_middle_loses_nothing(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Wall")
    browser.color("#A3553B")
    browser.press("Brush")
    browser.stroke((0.3, 0.85), (0.5, 0.9))
    before = browser.document()
    browser.driver.refresh()
    browser.all(".chip")
    assert browser.document() == before
    browser.until("what was measured", lambda: "#A3553B" in browser.text(".measured"))


LATE_FRAMES = """
const later = window.setTimeout.bind(window);
window.requestAnimationFrame = (draw) => later(() => draw(performance.now()), 5000);
window.setTimeout = (call, milliseconds = 0, ...values) => later(call, milliseconds + 5000, ...values);
"""


def test_what_is_read_before_the_first_frame_is_shown(browser: Browser) -> None:
    """On a busy machine the answers are there before anything was drawn."""
    script = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LATE_FRAMES})
    try:
        browser.driver.refresh()
        # The next thing that the page would show of itself comes seconds later.
        browser.until("the demo's photos", lambda: browser.driver.find_elements(By.CSS_SELECTOR, ".demo .photo"), 20)
    finally:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)
