"""Suggested commands work where they are suggested."""

from __future__ import annotations

import json
from importlib import metadata
from typing import Any

import pytest

from respray.installation import install_command


@pytest.mark.parametrize(
    ("origin", "end"),
    [
        ({"url": "file:///srv/re%20spray", "dir_info": {"editable": True}}, "-m pip install -e '/srv/re spray[intake]'"),
        ({"url": "file:///srv/respray", "dir_info": {}}, "-m pip install '/srv/respray[intake]'"),
        ({"url": "file:///tmp/respray-1.whl", "archive_info": {}}, "-m pip install 'respray[intake] @ file:///tmp/respray-1.whl'"),
        (None, "-m pip install 'respray[intake]'"),
    ],
)
def test_an_extra_comes_from_where_the_package_came_from(monkeypatch: pytest.MonkeyPatch, origin: Any, end: str) -> None:
    class Installed:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return None if origin is None else json.dumps(origin)

    monkeypatch.setattr(metadata, "distribution", lambda name: Installed())
    assert install_command("intake").endswith(end)
