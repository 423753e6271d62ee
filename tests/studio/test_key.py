"""A server that needs a key: the page asks for it, says that one is wrong, and keeps it for this tab only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.api.keys import make_key
from tests.api.support import ApiProcess
from tools.studio.browser import Browser

pytestmark = pytest.mark.server


@pytest.fixture
def keyed(triton_url: str, tmp_path: Path) -> Iterator[tuple[ApiProcess, str]]:
    """A server that needs a key, and the key."""
    key, kept = make_key("studio", "u_abc")
    process = ApiProcess(tmp_path, triton_url, API_KEYS=kept.line)
    process.wait_ready()
    yield process, key
    process.stop()


def test_the_key_is_asked_for_until_it_is_right(browser: Browser, keyed: tuple[ApiProcess, str]) -> None:
    process, key = keyed
    browser.expected += ["401"]
    browser.driver.get(f"{process.url}/studio")

    def give(text: str) -> None:
        field = browser.one("input[type=password]")
        browser.driver.execute_script("arguments[0].select()", field)
        field.send_keys(text)
        browser.press("Use it")

    assert not browser.driver.find_elements("css selector", ".alerts .alert"), "nothing was wrong yet"
    for wrong in ("respray_wrong", "열쇠", key.upper(), key[:-1]):
        give(wrong)
        browser.until("a word", lambda: "the key that was sent is not known" in browser.text(".alerts"))
        browser.press("Close")
    give(f"  {key} ")
    browser.all(".demo .photo img")
    browser.open_room()
    browser.driver.refresh()
    browser.all("main.work")
    browser.driver.get(f"{process.url}/studio/icon.svg")  # nothing is under way any more when the server ends
    stored = list((process.store / "photos").iterdir())
    assert [folder.name for folder in stored] == ["u_abc"]
    assert key not in browser.driver.current_url and not browser.driver.get_cookies()
    assert key not in browser.driver.execute_script("return JSON.stringify(localStorage)")
