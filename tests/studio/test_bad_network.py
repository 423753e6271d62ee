"""What the page does when a part of it, or an answer, does not come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.api.support import ApiProcess
from tools.studio.browser import Browser

pytestmark = pytest.mark.server


@contextmanager
def without(browser: Browser, *addresses: str) -> Iterator[None]:
    """Requests for these addresses do not reach the server inside the block."""
    browser.expected += ["ERR_BLOCKED_BY_CLIENT", "Failed to fetch", "boot.js"]
    browser.driver.execute_cdp_cmd("Network.enable", {})
    browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": list(addresses)})
    try:
        yield
    finally:
        browser.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})


@pytest.mark.parametrize("missing", ["*/studio/texts/en.json", "*/studio/js/views/start.js", "*/studio/vendor/preact.js"])
def test_a_page_that_misses_a_part_says_so_and_comes_back(browser: Browser, api: ApiProcess, missing: str) -> None:
    with without(browser, missing):
        browser.driver.get(f"{api.url}/studio")
        browser.until("a word", lambda: "cannot be reached" in browser.driver.find_element("id", "app").text)
    browser.all(".demo .photo")


@pytest.mark.parametrize("missing", ["*/v1/palettes", "*/v1/demo-photos"])
def test_a_page_that_misses_an_answer_asks_again(browser: Browser, api: ApiProcess, missing: str) -> None:
    with without(browser, missing):
        browser.driver.get(f"{api.url}/studio")
        browser.until("a word", lambda: browser.driver.find_elements("css selector", ".alerts .alert"))
    browser.all(".demo .photo")
    browser.until("no word", lambda: not browser.driver.find_elements("css selector", ".alerts .alert"))
