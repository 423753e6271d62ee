"""Makes docs/images/studio.jpg, the README's opening picture: `python -m tools.docs.studio_picture`. Needs Chromium."""

from __future__ import annotations

import base64
import io
import tempfile
from pathlib import Path

from PIL import Image

from tools.studio.browser import PROJECT, ROOM, open_browser
from tools.studio.serving import studio

TARGET = PROJECT / "docs" / "images" / "studio.jpg"
SIZE = (1360, 860)
MAX_BYTES = 300_000
SLIDE = "const s = document.querySelector('.slider input'); s.value = 0.62; s.dispatchEvent(new Event('input', {bubbles: true}))"


def main() -> None:
    """Three looks of a demo room, the last one shown beside the room as it was."""
    with studio() as url, tempfile.TemporaryDirectory() as downloads:
        browser = open_browser(Path(downloads))
        try:
            browser.start(url)
            browser.size(SIZE)
            browser.open_room("living room.jpg", ROOM.read_bytes())
            browser.choose("Wall")
            browser.color("#C9B79C")
            for wall, sofa in (("#A3553B", "#E8E2D6"), ("#7C9082", "#8C4A3C")):
                browser.press("+ Another look")
                browser.choose("Wall")
                browser.color(wall)
                browser.choose("Sofa")
                browser.color(sofa)
            browser.choose("Wall")
            browser.driver.execute_script(SLIDE)
            browser.rest()
            browser.settle()
            png = base64.b64decode(browser.driver.execute_cdp_cmd("Page.captureScreenshot", {})["data"])
        finally:
            browser.driver.quit()
    out = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(out, "JPEG", quality=88, optimize=True, progressive=True)
    assert len(out.getvalue()) < MAX_BYTES, f"{len(out.getvalue())} bytes; the README's pictures stay below {MAX_BYTES}"
    TARGET.write_bytes(out.getvalue())
    print(f"{TARGET}: {len(out.getvalue())} bytes")


if __name__ == "__main__":
    main()
