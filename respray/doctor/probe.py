"""Whether graphs are served right: what a running server's have answered, or what those of a folder answer now."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from respray.doctor.finding import FAIL, PASS, WARN, Finding

if TYPE_CHECKING:  # what an environment without packages has not
    from respray.contract.parameters import DeviceKind
    from respray.contract.report import ProbeReport

PHOTO_SECONDS = 60.0
"""For a tiny photo: at full size, the encoder takes 40 s on two cores."""
GRAPH_SECONDS = 600.0
MEMORY_TIMES = 3
"""Times the graphs' size: ONNX Runtime keeps FP16 weights in FP32 on a CPU, beside the file, and one photo's maps."""


def of_server(address: str) -> Finding:
    """Send a tiny photo through the server at `host:port`, which answers how its graphs did at its start."""
    from orchestrator.worker.canary import REQUEST, picture
    from respray.triton.client import PipelineClient
    from respray.triton.errors import ServerUnavailable, ServingError

    async def send() -> ProbeReport | None:
        async with PipelineClient(address, deadline=PHOTO_SECONDS) as client:
            return (await client.edit(picture(0), REQUEST)).report.probe

    try:
        report = asyncio.run(send())
    except ServerUnavailable as error:
        return Finding(WARN, f"a small photo did not come back: {error}", "it may be busy: run the doctor again, and read its log")
    except ServingError as error:
        return Finding(FAIL, f"a small photo does not pass: {error}", "read the server's log, and start it again")
    if report is None or not report.measures:
        fix = "export the graphs again (python -m respray.segmentation.export), and start the server by this version's launchers"
        return Finding(WARN, "nothing tells whether its graphs are served right: they were asked no probe", fix)
    what = f"its graphs answered the probe: {report}"
    if report.fallback_from:
        fix = f"remove the volume's engines/ and start again, or set TRITON_TARGET={report.target} for good"
        return Finding(WARN, f"{what}; it took over, because {report.fallback_from}", fix)
    return Finding(PASS, what)


def of_graphs(graphs: Path, device: DeviceKind) -> Finding:
    """Ask the exported graphs of a folder by ONNX Runtime, in a process of its own."""
    from respray.segmentation.errors import SpecError
    from respray.segmentation.export.memory import available
    from respray.segmentation.spec import load_spec

    again = "export the checkpoint again (python -m respray.segmentation.export), or fetch its graphs again"
    try:
        spec = load_spec(graphs)
    except SpecError as error:
        return Finding(FAIL, str(error), again)
    if spec.probe is None:
        return Finding(WARN, "nothing tells whether its graphs are served right: they have no probe", again)
    if importlib.util.find_spec("onnxruntime") is None:
        return Finding(PASS, "its graphs are asked their probe when a server starts (here is no ONNX Runtime to ask them by)")
    needed = MEMORY_TIMES * sum(file.bytes for file in spec.files())
    free = available(Path("/proc"), Path("/sys/fs/cgroup"))
    if device == "cpu" and free is not None and free < needed:
        what = f"its graphs were not asked their probe: that takes about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} are free"
        return Finding(WARN, what, "run the doctor where more is free; a server asks them at its start in any case")
    command = [sys.executable, "-m", "respray.segmentation.ask_probe", str(graphs), device]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GRAPH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Finding(WARN, f"its graphs did not answer the probe within {GRAPH_SECONDS:g} s", "run the doctor when this machine is idle")
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1]
        return Finding(FAIL, f"its graphs cannot be asked their probe: {said}", again)
    answer = json.loads(done.stdout.splitlines()[-1])
    if answer["problems"]:
        fix = f"RESPRAY_DEVICE=cpu, if that answers right; else {again}" if device != "cpu" else again
        return Finding(FAIL, f"its graphs give other answers than PyTorch by {answer['engine']}: {'; '.join(answer['problems'])}", fix)
    values = ", ".join(f"{measure['what'].replace('_', ' ')} {measure['value']:.4f}" for measure in answer["measures"])
    return Finding(PASS, f"its graphs answer the probe as PyTorch did: {values}; by {answer['engine']}")
