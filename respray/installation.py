"""How this installation gets one of its extras: a command that works where it is suggested."""

from __future__ import annotations

import json
import shlex
import sys
from importlib import metadata
from urllib.parse import unquote, urlsplit


def installed_version() -> str:
    """The version that is installed; "0" in a checkout that is not."""
    try:
        return metadata.version("respray")
    except metadata.PackageNotFoundError:
        return "0"


def install_command(extra: str) -> str:
    """The command that adds an extra to this installation.

    Args:
        extra: A name of pyproject.toml's optional dependencies.

    Returns:
        `pip install` of the checkout or the file that Respray was installed from (PEP 610's direct_url.json), else of the name.
    """
    try:
        origin = json.loads(metadata.distribution("respray").read_text("direct_url.json") or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        origin = {}
    address = str(origin.get("url", ""))
    what = f"respray[{extra}]"
    if address.startswith("file:"):
        path = unquote(urlsplit(address).path)
        what = f"{path}[{extra}]" if "dir_info" in origin else f"respray[{extra}] @ {address}"
    editable = "-e " if origin.get("dir_info", {}).get("editable") else ""
    return f"{shlex.quote(sys.executable)} -m pip install {editable}{shlex.quote(what)}"
