"""The studio's page as somebody uses it: drops, clicks, strokes, keys."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

T = TypeVar("T")
PROJECT = Path(__file__).resolve().parents[2]
ROOM = PROJECT / "respray" / "demo" / "photos" / "room_1.jpg"
DESKTOP, PHONE = (1440, 960), (320, 640)
"""A phone as narrow as WCAG 2.2 (1.4.10, reflow) asks for; a desktop at 400 % is as narrow."""
DROP = """
const [name, base64] = arguments, bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)), data = new DataTransfer();
data.items.add(new File([bytes], name));
document.querySelector("main").dispatchEvent(new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: data}));
"""
# In one call: a question for the text of each of dozens of buttons is a call of its own, in both processes of the browser.
FIND = """
const [css, text, lines] = arguments;
const says = (element) => element.innerText.trim().split("\\n").slice(0, lines).map((line) => line.trim()).join("\\n");
const is = (element) => (element.checkVisibility() && says(element) === text) || element.getAttribute("aria-label") === text;
return [...document.querySelectorAll(css)].find(is) ?? null;
"""


@cache
def small_room() -> bytes:
    """A demo room of 600 x 400 pixels: what is tried often need not be large."""
    out = io.BytesIO()
    Image.open(ROOM).resize((600, 400), Image.Resampling.LANCZOS).save(out, "JPEG", quality=95)
    return out.getvalue()


def open_browser(downloads: Path) -> Browser:
    """A headless Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--force-prefers-reduced-motion",
        "--lang=en",
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads), "intl.accept_languages": "en"})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return Browser(webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver")), downloads)


@dataclass
class Browser:
    """A browser and the studio in it. `complaints` that a test expects are named by a part of their text."""

    driver: webdriver.Chrome
    downloads: Path
    expected: list[str] = field(default_factory=list)

    def start(self, url: str) -> None:
        """An empty studio at desktop width."""
        self.expected = []
        self.size(DESKTOP)
        self.driver.get(f"{url}/icon.svg")  # of the same origin, and without a script that would keep something anew
        self.driver.execute_script("sessionStorage.clear(); localStorage.clear()")
        self.log()
        self.driver.get(url)
        self.all(".demo .photo")

    def end(self) -> None:
        """Fail for what the console complains of, broken Content-Security-Policy included. Leaves one tab."""
        messages = [entry["message"] for entry in self.log() if entry["level"] in ("SEVERE", "WARNING")]
        for handle in self.driver.window_handles[1:]:
            self.driver.switch_to.window(handle)
            self.driver.close()
        self.driver.switch_to.window(self.driver.window_handles[0])
        unexpected = [message for message in messages if not any(part in message for part in self.expected)]
        assert not unexpected, unexpected

    def size(self, size: tuple[int, int]) -> None:
        """The page's size in CSS pixels, whatever the window's frame takes."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def log(self) -> list[dict[str, Any]]:
        """What the console has said since it was asked last."""
        return list(self.driver.get_log("browser"))  # type: ignore[no-untyped-call]

    def _seen(self) -> str:
        """What the page shows and has asked for last, and what its console said, for whoever reads that something failed."""
        text, asked = self.driver.execute_script(
            "return [document.body.innerText, performance.getEntriesByType('resource').map(r => `${r.name} ${r.responseStatus}`)]"
        )
        return f"{self.driver.current_url} ({self.driver.title}) shows {text[:300]!r}; asked last {asked[-8:]}; console {self.log()}"

    def until(self, what: str, check: Callable[[], T | None], seconds: float = 100) -> T:
        """The first true value of `check`."""
        deadline, pause = time.monotonic() + seconds, 0.05
        while True:
            try:
                if value := check():
                    return value
            except (NoSuchElementException, StaleElementReferenceException):
                pass
            assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s; {self._seen()}"
            time.sleep(pause)
            pause = min(1.3 * pause, 0.3)

    def all(self, css: str) -> list[WebElement]:
        """Elements, at least one."""
        return self.until(css, lambda: self.driver.find_elements(By.CSS_SELECTOR, css))

    def one(self, css: str) -> WebElement:
        """The first of them."""
        return self.all(css)[0]

    def text(self, css: str) -> str:
        """What it says."""
        return self.one(css).text

    def heard(self) -> str:
        """What somebody hears who does not see the page."""
        return str(self.one("[role=status]").get_attribute("textContent"))

    def drop_files(self, *files: Path) -> None:
        """Drop files or folders as a file manager does."""
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 300, "data": data})

    def button(self, text: str, within: str = "body") -> WebElement:
        """A button by what it says."""
        return self._by_text(f"{within} button, {within} summary", text)

    def _by_text(self, css: str, text: str, lines: int = 99) -> WebElement:
        """The first element that says so in its first lines."""

        def find() -> WebElement | None:
            return self.driver.execute_script(FIND, css, text, lines)  # type: ignore[no-any-return]

        return self.until(f"{css} that says {text}", find)

    def press(self, text: str, within: str = "body") -> None:
        """Press a button by what it says."""
        button = self.button(text, within)
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'nearest'})", button)
        button.click()

    def drop(self, name: str, data: bytes) -> None:
        """Drop a file on the page."""
        self.driver.execute_script(DROP, name, base64.b64encode(data).decode())

    def open_room(self, name: str = "room.jpg", data: bytes | None = None) -> None:
        """Drop a photo, or a small one of a room, and wait until everything in it has been looked for."""
        self.drop(name, data or small_room())
        self.all(".chip")
        self.until("the end of the search", lambda: not self.driver.find_elements(By.CSS_SELECTOR, ".spin"), 120)

    def choose(self, concept: str) -> None:
        """Choose a concept in the list."""
        self._by_text(".chip", concept, lines=1).click()

    def color(self, code: str) -> None:
        """Give the chosen concept a colour by its code, and wait for the picture."""
        self.one(".code input").send_keys(Keys.CONTROL, "a", Keys.NULL, code, Keys.ENTER)
        self.settle()

    def settle(self) -> None:
        """Wait until what is shown is what was asked for."""
        self.until("the preview", lambda: not self.driver.find_elements(By.CSS_SELECTOR, ".working, canvas.old"))

    def canvas_at(self, x: float, y: float) -> ActionChains:
        """The pointer above a point of the photo (fractions; the room is 3:2 and lies in the middle)."""
        canvas = self.one(".stage canvas")
        width, height = canvas.size["width"], canvas.size["height"]
        scale = min(width / 3, height / 2)
        return ActionChains(self.driver, duration=20).move_to_element_with_offset(
            canvas, round((x - 0.5) * 3 * scale), round((y - 0.5) * 2 * scale)
        )

    def click_photo(self, x: float, y: float) -> None:
        """Click a point of the photo."""
        self.canvas_at(x, y).click().perform()

    def stroke(self, start: tuple[float, float], end: tuple[float, float], key: str = "") -> None:
        """Paint, or pull, from one point to another; with a key held."""
        canvas = self.one(".stage canvas")
        scale = min(canvas.size["width"] / 3, canvas.size["height"] / 2)
        chain = self.canvas_at(*start)
        chain = (chain.key_down(key) if key else chain).click_and_hold()
        chain = chain.move_by_offset(round((end[0] - start[0]) * 3 * scale), round((end[1] - start[1]) * 2 * scale)).release()
        (chain.key_up(key) if key else chain).perform()

    def drag(self, element: WebElement, x: int, y: int) -> None:
        """Pull a thing by so many pixels."""
        ActionChains(self.driver, duration=20).click_and_hold(element).move_by_offset(x, y).release().perform()

    def document(self) -> dict[str, Any]:
        """What the tab keeps of the work."""
        return dict(self.driver.execute_script("return JSON.parse(sessionStorage.getItem('respray-session'))"))

    def job(self) -> dict[str, Any]:
        """The job file, saved and read."""
        self.press("Job file for respray run")
        file = self.downloaded("job.json")
        message = json.loads(file.read_text())
        file.unlink()
        return dict(message)

    def rest(self) -> None:
        """Take the pointer off whatever it lights up."""
        ActionChains(self.driver, duration=20).move_to_element(self.one("h1")).perform()

    def shot(self, file: Path) -> None:
        """A picture of the whole page."""
        answer = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        file.write_bytes(base64.b64decode(answer["data"]))

    def downloaded(self, suffix: str) -> Path:
        """The file of this kind that was saved."""
        return self.until(suffix, lambda: next((file for file in self.downloads.iterdir() if file.name.endswith(suffix)), None))

    def pixel_at_center(self, offset: int) -> int:
        """How light the canvas is so many pixels beside its middle: 0 to 255."""
        script = """
        const canvas = document.querySelector(".stage canvas"), x = Math.round(canvas.width / 2) + arguments[0];
        const copy = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d", {willReadFrequently: true});
        copy.drawImage(canvas, x, Math.round(canvas.height / 2), 1, 1, 0, 0, 1, 1);
        return copy.getImageData(0, 0, 1, 1).data[1];
        """
        return int(self.driver.execute_script(script, offset))

    def pixel(self, x: float, y: float) -> list[int]:
        """The colour that the canvas shows at a point of the photo, nothing being lit up."""
        self.rest()
        script = """
        const canvas = document.querySelector(".stage canvas"), [x, y] = arguments;
        const scale = Math.min(canvas.width / 3, canvas.height / 2);
        const at = [canvas.width / 2 + (x - 0.5) * 3 * scale, canvas.height / 2 + (y - 0.5) * 2 * scale];
        const copy = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d", {willReadFrequently: true});
        copy.drawImage(canvas, Math.round(at[0]), Math.round(at[1]), 1, 1, 0, 0, 1, 1);
        return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
        """
        found: Any = self.driver.execute_script(script, x, y)
        return [int(value) for value in found]
