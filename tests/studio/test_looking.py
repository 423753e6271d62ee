"""What is seen is what will be made: previews, tiles at 100 %, colours from the photo and the palette, tone, removal."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from respray.editing.core.color import delta_e_2000, hex_to_lab
from tests.api.support import ApiProcess
from tools.studio.browser import ROOM, Browser

pytestmark = pytest.mark.server
WALL = (0.62, 0.25)
SEEN = """
const canvas = document.querySelector(".stage canvas"), [size] = arguments;
const copy = Object.assign(document.createElement("canvas"), {width: size, height: size}).getContext("2d");
copy.drawImage(canvas, (canvas.width - size) / 2, (canvas.height - size) / 2, size, size, 0, 0, size, size);
return [...copy.getImageData(0, 0, size, size).data];
"""
SIDE = 200


def seen(browser: Browser) -> Any:
    """The middle of the canvas, int [side,side,3]."""
    return np.array(browser.driver.execute_script(SEEN, SIDE)).reshape(SIDE, SIDE, 4)[..., :3]


def test_at_100_percent_the_picture_is_the_jobs_own(browser: Browser, api: ApiProcess) -> None:
    photo, data = Image.open(ROOM).resize((2400, 1600), Image.Resampling.BICUBIC), io.BytesIO()
    photo.save(data, "JPEG", quality=92)
    browser.open_room("large.jpg", data.getvalue())
    browser.choose("Wall")
    browser.color("#7C9082")
    small = seen(browser)
    job = {"preset": "interior", "concepts": {"Wall": {"action": "recolor", "value": "#7C9082"}}, "options": {"format": "png"}}
    made = httpx.post(f"{api.url}/v1/edits", files={"photo": ("a.jpg", data.getvalue()), "job": (None, json.dumps(job))}, timeout=120)
    whole = np.asarray(Image.open(io.BytesIO(made.content)).convert("RGB")).astype(int)
    middle = whole[(1600 - SIDE) // 2 : (1600 + SIDE) // 2, (2400 - SIDE) // 2 : (2400 + SIDE) // 2]
    browser.press("100 %")
    browser.rest()

    def apart() -> float:
        # A canvas of odd width has its middle between two pixels.
        picture = seen(browser)
        return float(min(np.abs(np.roll(picture, (dy, dx), (0, 1)) - middle)[4:-4, 4:-4].mean() for dx in (-1, 0, 1) for dy in (-1, 0, 1)))

    assert np.abs(small - middle).mean() > 10, "all of the photo is something else"
    browser.until("the job's pixels", lambda: apart() < 2.0)  # what JPEG does


def test_the_wheel_looks_closer_and_a_key_shows_all_of_it(browser: Browser) -> None:
    browser.open_room()
    canvas = browser.one(".stage canvas")
    ActionChains(browser.driver).scroll_from_origin(ScrollOrigin.from_element(canvas), 0, -600).perform()
    assert float(browser.text(".zoom").removesuffix(" %")) > 100
    ActionChains(browser.driver).send_keys("1").perform()
    browser.until("all of it", lambda: canvas.get_attribute("class") == "tool-select fit")


def test_a_colour_is_taken_from_the_photo_and_its_nearest_paints_are_shown(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Wall")
    shown = browser.pixel(*WALL)
    browser.press("From photo")
    browser.click_photo(*WALL)
    code = browser.text(".near").split()[2]
    picked = [int(code[place : place + 2], 16) for place in (1, 3, 5)]
    assert np.abs(np.subtract(picked, shown)).max() <= 6
    distances = [float(label.text) for label in browser.all(".swatches .quiet")]
    assert len(distances) == 12 and distances == sorted(distances)


def test_the_palette_is_searched_by_name_and_by_likeness(browser: Browser, api: ApiProcess) -> None:
    paints = [color for family in httpx.get(f"{api.url}/v1/palettes").json()[0]["families"] for color in family["colors"]]
    browser.open_room()
    browser.choose("Wall")
    search = browser.one("input[type=search]")
    search.send_keys("sage")
    expected = [paint for paint in paints if "sage" in f"{paint['id']} {paint['name']} {paint['family']}".lower()]
    named = [swatch.get_attribute("aria-label") for swatch in browser.all(".swatch")]
    assert named == [f"{paint['name']}, {paint['hex']}" for paint in expected] != []
    search.clear()
    search.send_keys("#8A9A7B")
    best = min(paints, key=lambda paint: float(delta_e_2000(hex_to_lab("#8A9A7B"), hex_to_lab(paint["hex"]))))
    browser.until("the nearest", lambda: str(browser.one(".swatch").get_attribute("aria-label")).startswith(best["name"]))
    browser.one(".swatch").click()
    assert browser.document()["looks"][0]["edits"]["Wall"]["value"] == best["id"]


def test_tone_is_pulled_and_things_are_removed(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Wall")
    before = browser.pixel(*WALL)
    browser.press("Tone")
    browser.all(".slide input")[0].send_keys(*([Keys.ARROW_LEFT] * 10))
    browser.settle()
    assert sum(browser.pixel(*WALL)) < sum(before) - 15
    browser.choose("Picture")
    browser.press("Remove")
    browser.press("Make transparent (PNG, WebP)")
    browser.settle()
    looks = browser.job()["looks"][0]["concepts"]
    assert looks["Wall"] == {"action": "tone", "value": {"brightness": -0.2}}
    assert looks["Picture"] == {"action": "remove", "value": "transparent"}


def test_the_light_of_the_photo_is_said_as_far_as_it_is_known(browser: Browser) -> None:
    browser.open_room()
    assert "Light in the photo unknown" in browser.text(".light").replace("\n", " ")
    grey = Image.open(ROOM).convert("L").convert("RGB")
    out = io.BytesIO()
    grey.save(out, "JPEG", quality=95)
    browser.open_room("grey.jpg", out.getvalue())
    browser.until("a temperature", lambda: "about 6,500 K" in browser.text(".light"))


def test_before_and_after_are_seen_beside_each_other(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Wall")
    before = browser.pixel(0.9, 0.1)
    browser.color("#A3553B")
    after = browser.pixel(0.9, 0.1)
    browser.driver.execute_script(
        "const s = document.querySelector('.slider input'); s.value = 0.5; s.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    assert browser.pixel(0.9, 0.1) == before != after
    assert browser.pixel(0.3, 0.1)[0] > browser.pixel(0.3, 0.1)[2] + 30
    assert not browser.driver.find_elements(By.CSS_SELECTOR, ".alert")
