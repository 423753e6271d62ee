"""The two forms of the doctor's report: text for people, JSON for machines."""

from __future__ import annotations

import json
import os
import sys

from respray.doctor.finding import FAIL, CheckResult, worst

_COLOURS = {"PASS": "\033[32m", "WARN": "\033[33m", "FAIL": "\033[31m"}
_PLAIN = "\033[0m"


def as_text(results: list[CheckResult], colour: bool = False) -> str:
    """A heading per check, a line per finding, and the fix below whatever is not a PASS."""
    lines = []
    for result in results:
        lines.append(f"[{result.number}/8] {result.title}")
        for finding in result.findings:
            mark = f"{_COLOURS[finding.status]}{finding.status}{_PLAIN}" if colour else finding.status
            lines.append(f"  {mark}  {finding.what}")
            if finding.fix and finding.status != "PASS":
                lines.append(f"        fix: {finding.fix}")
    counts = {status: sum(result.status == status for result in results) for status in ("PASS", "WARN", "FAIL")}
    lines.append(", ".join(f"{count} {status}" for status, count in counts.items()))
    return "\n".join(lines)


def is_coloured() -> bool:
    """Whether stdout is a terminal with colours whose user wants them (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def as_json(results: list[CheckResult]) -> str:
    """The same as one JSON document: {status, checks: [{number, name, title, status, findings: [{status, what, fix}]}]}."""
    checks = [
        {
            "number": result.number,
            "name": result.name,
            "title": result.title,
            "status": result.status,
            "findings": [{"status": f.status, "what": f.what, "fix": f.fix} for f in result.findings],
        }
        for result in results
    ]
    return json.dumps({"status": worst([result.status for result in results]), "checks": checks}, indent=2)


def exit_code(results: list[CheckResult]) -> int:
    """1 where any check failed, otherwise 0; warnings do not fail."""
    return int(any(result.status == FAIL for result in results))
