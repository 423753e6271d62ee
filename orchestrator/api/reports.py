"""A photo's report in the headers of the picture."""

from __future__ import annotations

import json
from typing import Any

from respray.contract.report import PhotoReport

MAX_BYTES = 4096
"""Bytes of a report that travel in a header: proxies accept 8 KiB of headers as a rule."""
REPORT_HEADERS: dict[str, Any] = {
    "Respray-Report": {
        "schema": {"type": "string"},
        "description": f"What was measured, as JSON in ASCII; left out where it has more than {MAX_BYTES} bytes",
    }
}


def report_text(report: PhotoReport | None) -> str:
    """A report as JSON in ASCII, on one line."""
    return json.dumps(report.model_dump(exclude_none=True) if report else {}, separators=(",", ":"))


def report_headers(report: PhotoReport | None) -> dict[str, str]:
    """The report's header, where it is short enough for one."""
    text = report_text(report)
    return {"Respray-Report": text} if report is not None and len(text) <= MAX_BYTES else {}
