"""Check 1: is there an NVIDIA GPU, does its driver answer, and is it large enough."""

from __future__ import annotations

import shutil
import subprocess

from respray.doctor.finding import FAIL, PASS, WARN, Finding
from respray.doctor.situation import Situation

NAME = "gpu"
TITLE = "GPU and driver"

# The first driver branch of CUDA 13, which the pinned Triton image is built on; data centre cards get by with older ones
# through the image's forward-compatibility libraries.
_DRIVER = 580
# FP16 weights and activations of SAM3, and what docs/reference/contract.md states as a minimum (8 GB in FP16, a card of 16 GB).
_NEEDED_MIB = 8_000
_COMFORTABLE_MIB = 15_000
_QUERY = ["--query-gpu=index,name,driver_version,memory.total", "--format=csv,noheader,nounits"]


def run(situation: Situation) -> list[Finding]:
    """One finding per GPU, or why there is none."""
    tool = shutil.which("nvidia-smi", path=situation.environment.get("PATH"))
    if tool is None:
        return [_no_gpu(situation, "nvidia-smi is not on the PATH: no NVIDIA driver is visible in here")]
    try:
        answer = subprocess.run([tool, *_QUERY], capture_output=True, text=True, timeout=30, check=False, env=dict(situation.environment))
    except (OSError, subprocess.TimeoutExpired) as error:
        return [_no_gpu(situation, f"nvidia-smi did not answer: {error}")]
    if answer.returncode:
        said = (answer.stdout.strip() or answer.stderr.strip()).splitlines()
        return [_no_gpu(situation, f"nvidia-smi exited with {answer.returncode}: {said[0] if said else 'no message'}")]
    rows = [line for line in answer.stdout.splitlines() if line.strip()]
    if not rows:
        return [_no_gpu(situation, "nvidia-smi answers and lists no GPU")]
    return [finding for row in rows for finding in _judge(row)]


def _no_gpu(situation: Situation, what: str) -> Finding:
    if situation.gpu_required:
        return Finding(FAIL, what, "start the container with `docker run --gpus all ...` on a host with driver 580 or newer; "
                                   "on Runpod choose a GPU pod, not a CPU pod")  # fmt: skip
    return Finding(WARN, f"{what}; the worker will take the CPU path", "nothing, for development; `docker run --gpus all ...` for a GPU")


def _judge(row: str) -> list[Finding]:
    """Findings for one line `index, name, driver, MiB` of nvidia-smi."""
    fields = [field.strip() for field in row.split(",")]
    if len(fields) != 4 or not fields[3].replace(".", "").isdigit():
        return [Finding(WARN, f"nvidia-smi printed {row!r}, expected `index, name, driver, MiB`", "run `nvidia-smi` and read its message")]
    index, name, driver, mebibytes = fields[0], fields[1], fields[2], int(float(fields[3]))
    described = f"GPU {index}: {name}, driver {driver}, {mebibytes} MiB"
    major = driver.split(".")[0]
    findings = []
    if major.isdigit() and int(major) < _DRIVER:
        findings.append(Finding(WARN, f"driver {driver} is older than {_DRIVER}, which the Triton image's CUDA 13 was made for",
                                f"upgrade the host's driver to {_DRIVER} or newer; on Runpod filter machines by CUDA 13"))  # fmt: skip
    if mebibytes < _NEEDED_MIB:
        findings.append(Finding(FAIL, f"{described}: SAM3 needs {_NEEDED_MIB} MiB in FP16",
                                "choose a GPU with 16 GB or more (RTX A4000, L4, RTX 4090), or MODEL_NAME=demo"))  # fmt: skip
    elif mebibytes < _COMFORTABLE_MIB:
        findings.append(Finding(WARN, f"{described}: enough for FP16 alone, 16 GB is the stated minimum",
                                "set BATCH_CONCURRENCY=1, or choose a GPU with 16 GB or more"))  # fmt: skip
    else:
        findings.append(Finding(PASS, described))
    return findings
