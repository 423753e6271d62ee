"""What is taken along: archives, sheets, links, jobs for this server."""

from __future__ import annotations

import io
import zipfile

import httpx
import pytest
from PIL import Image

from tests.api.support import ApiProcess
from tools.studio.browser import Browser, open_browser

pytestmark = pytest.mark.server


def two_looks(browser: Browser) -> None:
    """A room in two colours."""
    browser.open_room("my room.jpg")
    browser.choose("Wall")
    browser.color("#7C9082")
    browser.press("+ Another look")
    browser.color("#A3553B")


def test_all_looks_come_as_a_zip_and_are_what_is_downloaded_one_by_one(browser: Browser) -> None:
    two_looks(browser)
    browser.press("All looks as a zip")
    with zipfile.ZipFile(io.BytesIO(browser.downloaded(".zip").read_bytes())) as archive:
        assert sorted(archive.namelist()) == ["1.png", "2.png"]
        one, two = (archive.read(name) for name in ("1.png", "2.png"))
    browser.press("Download full size")
    assert browser.downloaded(".png").read_bytes() == two != one


def test_the_contact_sheet_shows_the_photo_and_every_look(browser: Browser) -> None:
    two_looks(browser)
    browser.press("Contact sheet")
    sheet = Image.open(browser.downloaded(".jpg")).convert("RGB")
    assert sheet.size == (32 + 2 * 832, 32 + 2 * (533 + 84 + 32))
    places = ((32, 32), (864, 32), (32, 681))
    walls = [sheet.getpixel((left + 500, top + 130)) for left, top in places]
    assert len(set(walls)) == 3 and walls[2][0] > walls[2][2] + 40  # type: ignore[index]


def test_a_link_opens_the_session_in_a_browser_that_knows_nothing(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> None:
    two_looks(browser)
    browser.press("Copy a link to this session")
    link = browser.until("the link", lambda: url if "#session=" in (url := browser.driver.current_url) else "")
    kept = browser.document()
    fresh = open_browser(tmp_path_factory.mktemp("fresh"))
    try:
        fresh.driver.get(link)
        fresh.all(".chip")
        assert fresh.document() == kept
        fresh.settle()
        assert len(fresh.all(".strip canvas")) == 2
    finally:
        fresh.driver.quit()


def test_the_job_is_sent_to_this_server(browser: Browser, api: ApiProcess) -> None:
    two_looks(browser)
    browser.press("Send the job to this server")
    said = browser.until("the answer", lambda: text if "/v1/jobs/" in (text := browser.text(".out > p.quiet")) else "")
    status = said.split()[-1]
    view = browser.until("the end", lambda: view if (view := httpx.get(f"{api.url}{status}").json())["state"] == "completed" else None)
    assert sorted(view["items"][0]["outputs"]) == ["1", "2"]
