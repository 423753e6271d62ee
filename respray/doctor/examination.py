"""Run the checks in order. A check that breaks is itself reported, and the others still run."""

from __future__ import annotations

from types import ModuleType

from respray.doctor import codecs, connections, cuda, cudnn, gpu, model_files, packages, python_environment
from respray.doctor.finding import FAIL, CheckResult, Finding
from respray.doctor.situation import Situation

# In this order: from the driver up to the network. Each module has NAME, TITLE and run(situation).
CHECKS: tuple[ModuleType, ...] = (gpu, cuda, cudnn, codecs, python_environment, packages, model_files, connections)


def examine(situation: Situation, only: tuple[str, ...] = ()) -> list[CheckResult]:
    """All eight results, or those of the checks named in `only`."""
    names = [check.NAME for check in CHECKS]
    unknown = sorted(set(only) - set(names))
    if unknown:
        raise ValueError(f"there is no check {', '.join(unknown)}; the checks are {', '.join(names)}")
    return [_run(number, check, situation) for number, check in enumerate(CHECKS, 1) if not only or check.NAME in only]


def _run(number: int, check: ModuleType, situation: Situation) -> CheckResult:
    try:
        findings = tuple(check.run(situation))
    except Exception as error:  # a doctor that dies half way leaves the user with nothing
        what = f"this check broke: {type(error).__name__}: {error}"
        findings = (Finding(FAIL, what, "please report it with the output of `respray doctor --json`"),)
    return CheckResult(number, check.NAME, check.TITLE, findings)
