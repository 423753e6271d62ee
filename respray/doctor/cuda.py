"""Check 2: the CUDA core libraries, loaded in a child before anything in this process could abort on them."""

from __future__ import annotations

from respray.doctor.finding import FAIL, PASS, WARN, Finding, Status
from respray.doctor.situation import Situation
from respray.segmentation.accelerator import CUBLAS
from respray.segmentation.cuda_needs import CUDA_MAJORS, accepted_majors, site_packages
from respray.segmentation.library_probe import Probe, probe, wheel_folders

NAME = "cuda"
TITLE = "CUDA core libraries (libcublas, libcublasLt)"

_INSTALL = ".venv/bin/pip install 'onnxruntime-gpu[cuda,cudnn]'; or run inside the image of the Dockerfile, which brings them"


def run(situation: Situation) -> list[Finding]:
    """One finding per library; where one is missing, the worker takes the CPU path."""
    sites = site_packages()
    majors = accepted_majors("libcublas", CUDA_MAJORS, sites)
    folders = wheel_folders(sites, "cublas", "cuda_runtime", "cu13", "cu12")
    findings = []
    for library, functions in CUBLAS.items():
        probes = [probe(f"{library}.so.{major}", situation.environment, functions, folders) for major in majors]
        findings.append(judge(library, probes, _severity(situation), _INSTALL))
    return findings


def _severity(situation: Situation) -> Status:
    """Missing libraries fail where there is a GPU to use them, and are a choice where there is none."""
    return FAIL if situation.gpu_required else WARN


def judge(library: str, probes: list[Probe], severity: Status, install: str) -> Finding:
    """The first version that loads passes; otherwise the most telling of the failures. A crash always fails."""
    for attempt in probes:
        if attempt.loaded:
            return Finding(PASS, f"{attempt.library} {attempt.version} from {attempt.path}")
    for attempt in probes:
        if attempt.crashed:
            what = f"{attempt.library} kills the process that loads it ({attempt.crashed}) {attempt.error}".rstrip()
            return Finding(FAIL, what, f"replace the broken installation: {install}")
    tried = " or ".join(attempt.library for attempt in probes)
    # A library that is there and does not load tells more than one that is not there at all.
    present = [a.error for a in probes if a.error and "No such file" not in a.error]
    why = f" ({present[0]})" if present else ""
    return Finding(severity, f"{library} does not load as {tried}{why}; the worker takes the CPU path", install)
