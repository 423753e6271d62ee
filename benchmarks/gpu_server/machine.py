"""What the figures were measured on, and whether its parts fit together."""

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

from benchmarks.gpu_server.plan import Findings, Plan
from benchmarks.work import machine

PACKAGES = ("torch", "onnxruntime-gpu", "onnxruntime", "nvidia-pytriton", "numpy", "transformers", "onnx", "onnxscript", "tritonclient")


def run(plan: Plan, findings: Findings) -> None:
    """Versions first: they explain what fails later."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    shared = shutil.disk_usage("/dev/shm") if Path("/dev/shm").is_dir() else None
    findings.note({
        "cpu": machine(), "cores": len(os.sched_getaffinity(0)), "python": platform.python_version(), "packages": versions,
        "shared_memory_mib": shared.free >> 20 if shared else None, "glibc": " ".join(platform.libc_ver()),
    })  # fmt: skip
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap,clocks.max.sm", "--format=csv,noheader"]
    try:
        findings.note({"gpu": subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()})
    except (OSError, subprocess.SubprocessError):
        findings.note({"gpu": None})
    import onnxruntime

    from respray.segmentation.accelerator import cuda_problem
    from respray.segmentation.providers import rtx_problem

    findings.note({"providers": onnxruntime.get_available_providers()})
    if plan.cuda:
        findings.note({"cuda_problem": cuda_problem(), "rtx_problem": rtx_problem()})
    try:
        from respray.triton.embedded.server_files import prepare

        findings.note({"server": str(prepare().binary)})
    except Exception as error:  # every reason is worth its words; the step that starts the server fails with the same
        findings.note({"server_problem": str(error)})
