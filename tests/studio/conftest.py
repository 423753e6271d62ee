"""A real browser (Debian's Chromium, driven through its chromedriver) on a real `respray api`. Skipped where there is no Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.support import ApiProcess
from tools.studio.browser import Browser, open_browser


@pytest.fixture(scope="session")
def api(triton_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    """An intake without keys, for the user `local`."""
    process = ApiProcess(tmp_path_factory.mktemp("studio"), triton_url)
    process.wait_ready()
    yield process
    assert process.stop() == 0, process.log.read_text()[-2000:]


@pytest.fixture(scope="session")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("no Chromium: 'apt-get install chromium chromium-driver' brings it")
    browser = open_browser(tmp_path_factory.mktemp("downloads"))
    yield browser
    browser.driver.quit()


@pytest.fixture
def browser(_browser: Browser, api: ApiProcess) -> Iterator[Browser]:
    """The browser with an empty studio; what the page complains of in its console fails the test."""
    for file in _browser.downloads.iterdir():
        file.unlink()
    _browser.start(f"{api.url}/studio")
    yield _browser
    _browser.end()


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """Where screenshots are kept: out/ is ignored by git."""
    folder = Path(__file__).resolve().parents[2] / "out" / "studio"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
