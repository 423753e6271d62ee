"""What a check found: the types that every check returns and both reports print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["PASS", "WARN", "FAIL"]
PASS: Status = "PASS"
WARN: Status = "WARN"
FAIL: Status = "FAIL"
_SEVERITY: dict[Status, int] = {PASS: 0, WARN: 1, FAIL: 2}


@dataclass(frozen=True)
class Finding:
    """One line of a check. `fix` is the exact command or setting that turns a WARN or FAIL into a PASS."""

    status: Status
    what: str
    fix: str = ""

    def __post_init__(self) -> None:
        """A failure without a way out is a bug of the check, not of the machine."""
        if self.status == FAIL and not self.fix:
            raise ValueError(f"the finding {self.what!r} fails without a fix: say which command or setting repairs it")


@dataclass(frozen=True)
class CheckResult:
    """One of the eight checks with all its findings; its status is its worst finding's."""

    number: int
    name: str
    title: str
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """PASS when there is nothing worse."""
        return worst([finding.status for finding in self.findings])


def worst(statuses: list[Status]) -> Status:
    """The most severe of several statuses; PASS of none."""
    return max(statuses, key=_SEVERITY.__getitem__, default=PASS)
