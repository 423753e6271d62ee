"""The studio in a real browser, over a real worker: from a dropped photo to the bytes that `respray run` makes."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from respray.editing.core.color import delta_e_2000, hex_to_lab
from tests.api.support import RESPRAY, ApiProcess
from tests.faults.processes import free_port
from tools.studio.browser import ROOM, Browser

pytestmark = pytest.mark.server
WALL = (0.62, 0.25)
HOSTILE = "<img src=x onerror=alert(1)>.jpg"


def test_from_a_dropped_photo_to_the_bytes_of_respray_run(browser: Browser, triton_url: str, tmp_path: Path) -> None:
    browser.open_room(HOSTILE)
    assert not browser.driver.find_elements(By.CSS_SELECTOR, "img[src='x']")
    browser.click_photo(*WALL)
    assert browser.text("#edit-title") == "Wall"
    browser.color("#7C9082")
    assert "#7C9082" in browser.text(".measured")

    browser.press("Brush")
    browser.stroke((0.3, 0.85), (0.5, 0.9))
    browser.settle()
    assert "mended by hand" in browser.text(".chip[aria-pressed=true]")

    browser.press("+ Another look")
    browser.color("#A3553B")
    browser.press("+ Another look")
    browser.choose("Floor")
    browser.press("Material")
    browser.all(".texture")[0].click()
    browser.settle()
    assert len(browser.all(".strip canvas")) == 3

    browser.press("Job file for respray run")
    job = browser.downloaded("job.json")
    message = json.loads(job.read_text())
    assert [look["name"] for look in message["looks"]] == ["1", "2", "3"]
    assert list(message["items"][0]["mask_keys"]) == ["Wall"]
    browser.press("Download full size")
    picture = browser.downloaded(".png")

    store = tmp_path / "store"
    store.mkdir()
    done = subprocess.run([RESPRAY, "run", str(job), "--store", str(store), "--triton-url", triton_url], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    outputs = store / "outputs" / "studio" / message["job_id"]
    assert sorted(file.parent.name for file in outputs.glob("*/0.png")) == ["1", "2", "3"]
    assert picture.read_bytes() == (outputs / "3" / "0.png").read_bytes()


def undo(browser: Browser) -> None:
    """Ctrl-Z."""
    ActionChains(browser.driver).key_down(Keys.CONTROL).send_keys("z").key_up(Keys.CONTROL).perform()


def test_undo_takes_back_a_colour_and_a_stroke_and_redo_brings_them_again(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Wall")
    before = browser.pixel(*WALL)
    browser.color("#A3553B")
    browser.until("another wall", lambda: browser.pixel(*WALL) != before)
    after = browser.pixel(*WALL)
    browser.press("Eraser")
    browser.stroke((0.6, 0.25), (0.65, 0.25))
    browser.settle()
    assert "mended" in browser.text(".chip[aria-pressed=true]")
    undo(browser)
    browser.settle()
    assert "mended" not in browser.text(".chip[aria-pressed=true]")
    browser.press("Point")
    undo(browser)
    browser.until("the wall as it was", lambda: browser.pixel(*WALL) == before)
    browser.press("Redo")
    browser.until("the colour again", lambda: browser.pixel(*WALL) == after)


def test_a_server_that_is_gone_is_said_and_the_work_goes_on_when_it_is_back(browser: Browser, triton_url: str, tmp_path: Path) -> None:
    server = ApiProcess(tmp_path / "killed", triton_url, listen=f"127.0.0.1:{free_port()}")
    try:
        browser.start(f"{server.wait_ready()}/studio")
        browser.expected = ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "503"]
        browser.open_room()
        browser.choose("Wall")
        before = browser.pixel(*WALL)
        server.kill()
        browser.one(".code input").send_keys("#A3553B", Keys.ENTER)
        browser.until("the alert", lambda: "cannot be reached" in browser.text(".alerts"))
        assert browser.pixel(*WALL) == before
        browser.press("Download full size")
        browser.until("what became of it", lambda: "That was not done" in browser.heard())
        server.restart()
        browser.until("the end of the alert", lambda: not browser.driver.find_elements(By.CSS_SELECTOR, ".alert"))
        browser.until("the colour", lambda: browser.pixel(*WALL) != before)
    finally:
        server.stop()


def test_two_tabs_go_their_own_ways_and_a_link_opens_the_same_again(browser: Browser) -> None:
    browser.open_room()
    browser.choose("Wall")
    browser.color("#A3553B")
    browser.driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]})
    browser.press("Copy a link to this session")
    link = browser.until("the link", lambda: url if "#session=" in (url := browser.driver.current_url) else "")
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("tab")
    browser.driver.get(link)
    browser.all(".chip")
    browser.choose("Wall")
    assert browser.one(".code input").get_attribute("value") == "#A3553B"
    browser.color("#7C9082")
    browser.driver.refresh()
    browser.all(".chip")
    browser.choose("Wall")
    assert browser.one(".code input").get_attribute("value") == "#7C9082", "what was done since the link was opened"
    browser.driver.switch_to.window(first)
    browser.color("#5B5D60")
    browser.driver.refresh()
    browser.all(".chip")
    browser.choose("Wall")
    assert browser.one(".code input").get_attribute("value") == "#5B5D60", "what was done since the link was copied"
    browser.press("Copy a link to this session")
    browser.until("another link", lambda: browser.driver.current_url != link)
    browser.driver.execute_script("location.href = arguments[0]", link)
    browser.until("the first again", lambda: browser.one(".code input").get_attribute("value") == "#A3553B")


def test_what_is_no_photo_is_said_in_the_workers_words(browser: Browser, api: ApiProcess) -> None:
    browser.expected = ["422"]
    browser.drop("notes.txt", b"no photo at all")
    browser.until("the alert", lambda: browser.driver.find_elements(By.CSS_SELECTOR, ".alert"))
    assert "JPEG" in browser.text(".alert"), browser.text(".alert")
    assert browser.all(".demo .photo")


def test_at_100_percent_a_12_megapixel_photo_shows_its_own_pixels(browser: Browser) -> None:
    photo = Image.open(ROOM).resize((4000, 3000))
    stripes = Image.fromarray(np.tile(np.array([0, 0, 255, 255], np.uint8), (400, 100)), "L")
    photo.paste(stripes.convert("RGB"), (1800, 1300))
    out = io.BytesIO()
    photo.save(out, "JPEG", quality=95, subsampling=0)
    browser.open_room("large.jpg", out.getvalue())

    def contrast() -> int:
        row = [browser.pixel_at_center(offset) for offset in range(-6, 7)]
        return max(row) - min(row)

    assert contrast() < 100, "the small copy cannot show two pixels of the photo"
    browser.press("100 %")
    browser.until("the photo's own pixels", lambda: contrast() > 180)


def test_likeness_of_colours_is_the_workers_ciede2000(browser: Browser) -> None:
    random = np.random.default_rng(4)
    colors = [f"#{r:02X}{g:02X}{b:02X}" for r, g, b in random.integers(0, 256, (60, 3))] + ["#000000", "#FFFFFF", "#808080"]
    script = """const [colors, done] = arguments;
    import("/studio/js/color.js").then((c) => done(colors.map((x) => colors.map((y) => c.ciede2000(c.labOf(x), c.labOf(y))))));"""
    labs = np.stack([hex_to_lab(color) for color in colors])
    np.testing.assert_allclose(browser.driver.execute_async_script(script, colors), delta_e_2000(labs[:, None], labs[None]), atol=0.02)
