"""The errors of the HTTP library inside the hub's client: httpx up to its version 1, httpx2 since. Both name them alike."""

from __future__ import annotations

import importlib
from typing import Any

from huggingface_hub.errors import HfHubHTTPError


def http_library() -> Any:
    """The library's module (`HTTPError`, `ConnectError`, `ProxyError`, `ConnectTimeout`), as the client's own error descends from it."""
    base = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    return importlib.import_module(base.__module__.partition(".")[0])
