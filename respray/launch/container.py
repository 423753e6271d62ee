"""What the GPU image runs: weights, graphs, model repository, engines, Triton, and then the orchestrator.

    python3 -m respray.launch.container work      Triton on loopback and the orchestrator that feeds it (the default)
    python3 -m respray.launch.container triton    Triton alone, for workers in other containers
    python3 -m respray.launch.container health    exit code 0 when this container's Triton is ready (the image's HEALTHCHECK)

Environment, beside the orchestrator's own (GPU_DEVICE chooses among several GPUs): TRITON_TARGET (onnxruntime or tensorrt),
TRITON_FALLBACK (the target that takes over when the first gives other answers than PyTorch), TRITON_ADDRESS
and TRITON_METRICS_ADDRESS (loopback for `work`, every address for `triton`), TRITON_{HTTP,GRPC,METRICS}_PORT, TRITON_BENCHMARK,
TRITON_GRAPH_MEMORY_GB, START_TIMEOUT_SEC. A step that fails ends the container with its message. SIGTERM ends the preparation at once;
later the orchestrator finishes what it has in its hands, then Triton.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from orchestrator.errors import SettingsError
from orchestrator.intake.arguments import OPTIONS, refuse_unread
from orchestrator.settings import is_bucket, load_settings, require
from respray.launch import compiled_loops, gpus, preparation
from respray.launch.chosen_model import check_model
from respray.launch.start_times import StartTimes
from respray.launch.triton_process import (
    DRAIN_SECONDS,
    POLL_SECONDS,
    Ports,
    TritonProcess,
    end_process,
    listen_address,
    ready,
    triton_command,
)
from respray.observe.events import Events, claim_stdout
from respray.processors import usable_cores
from respray.triton.embedded.preflight import check_shared_memory
from respray.triton.embedded.processes import listens_here
from respray.triton.errors import ProbeFailed, ServerStartError, ServingError
from respray.triton.hardening import new_key
from respray.triton.private_files import private_folder
from respray.triton.probe_gate import ProbeGate, Served
from respray.triton.repository.build_repository import build, needed_shared_memory
from respray.triton.repository.targets import Target, target
from respray.triton.watchdog import ServerWatchdog
from respray.weights.errors import OperationsError


def _set_folders(repository: Path, mode: int) -> None:
    """Give the repository's folders, where there are any, these permissions."""
    for folder in [repository, *repository.rglob("*")]:
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(mode)


def _graph_memory(environment: Mapping[str, str]) -> int | None:
    """TRITON_GRAPH_MEMORY_GB in bytes: what ONNX Runtime may take on each GPU for each of its two graphs; None where it is not set.

    Raises:
        SettingsError: it is no number above 0.
    """
    gigabytes = _above_0(environment, "TRITON_GRAPH_MEMORY_GB", "gigabytes", 1000)
    return None if gigabytes is None else int(gigabytes * 1e9)


def _start_timeout(environment: Mapping[str, str]) -> float:
    """START_TIMEOUT_SEC. SettingsError where it is no number of seconds above 0."""
    seconds = _above_0(environment, "START_TIMEOUT_SEC", "seconds", 1e6)
    return 3600.0 if seconds is None else seconds


def _above_0(environment: Mapping[str, str], name: str, unit: str, end: float) -> float | None:
    """A setting that is a number above 0 and below `end`; None where it is not set. SettingsError where it is something else."""
    given = environment.get(name, "").strip()
    if not given:
        return None
    try:
        number = float(given)
    except ValueError:
        number = 0.0
    if not 0 < number < end:
        raise SettingsError(f"{name}={given!r}: a number of {unit} above 0 is accepted")
    return number


def check_own_settings(environment: Mapping[str, str], role: str) -> None:
    """Refuse what is wrong with this container's own settings, before minutes are spent on weights and engines.

    Raises:
        SettingsError: a value that cannot be used.
        ServingError: a target that does not exist, or a port that is taken.
    """
    for name in filter(None, targets_of(environment)):
        target(name)
    _start_timeout(environment)
    _graph_memory(environment)
    try:
        usable_cores(environment)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    Ports.of(environment).check_free(listen_address(environment, role))


def check_settings(environment: Mapping[str, str], arguments: list[str]) -> None:
    """Refuse what `respray work` with these arguments would refuse, before minutes are spent on weights and engines.

    Raises:
        SettingsError: names what is missing.
    """
    parser = argparse.ArgumentParser("respray work", add_help=False, allow_abbrev=False)
    for option in OPTIONS:
        parser.add_argument(option)
    given, others = parser.parse_known_args(arguments)
    settings = load_settings(environment, adapter=given.adapter)
    store = given.store
    refuse_unread(others, settings.adapter)
    require(settings, storage=is_bucket(store), adapter=True)
    check_model(settings)
    if settings.adapter == "runpod":
        from orchestrator.intake.runpod import check_source

        check_source(arguments)


def exit_on_signal(number: int, frame: FrameType | None) -> None:
    """Before there is a Triton to drain, a signal ends whatever is going on: a step, a wait for the volume's lock, hashing."""
    for ending in preparation.ENDING:
        signal.signal(ending, signal.SIG_IGN)  # a second one would interrupt the clearing up
    raise SystemExit(0)


class Supervisor:
    """Triton under its watchdog and, once it is ready, the orchestrator; ends both in the right order.

    A Triton that dies is started again under the worker, which waits for it; one that keeps dying ends the container.
    """

    def __init__(self, triton: TritonProcess, times: StartTimes | None = None) -> None:
        """Take over the container's signals; `run` starts `triton` and tells `times` about it."""
        self._times = times or StartTimes()
        self.triton = triton
        self._stopping = False
        self._watchdog: ServerWatchdog | None = None
        self._worker: subprocess.Popen[bytes] | None = None
        for number in preparation.ENDING:
            signal.signal(number, self._stop)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """Drain: the worker first, which still needs Triton for what it has in its hands."""
        self._stopping = True
        self.triton.wait_no_longer()
        if self._watchdog is not None:
            self._watchdog.let_go()
        if self._worker is not None:
            with contextlib.suppress(ProcessLookupError):
                self._worker.terminate()

    def run(self, worker: list[str] | None) -> int:
        """Run until the worker ends, Triton ends for good, or SIGTERM; the exit code for the container.

        Args:
            worker: the orchestrator's command line; None for Triton alone.

        Raises:
            ServerStartError: Triton does not become ready.
        """
        with contextlib.ExitStack() as ending:
            ending.callback(self.triton.stop)
            with self._times.step("Triton and its models"):
                self.triton.start()
            if not self._stopping:
                self._times.tell()
            self._watchdog = watchdog = ServerWatchdog(self.triton)
            ending.callback(watchdog.stop)
            if worker is not None and not self._stopping:
                self._worker = subprocess.Popen(worker, env={**os.environ, "TRITON_URL": f"127.0.0.1:{self.triton.ports.grpc}"})
                ending.callback(end_process, self._worker, DRAIN_SECONDS + 5)
            while not (watchdog.gave_up or self._is_over()):
                time.sleep(POLL_SECONDS)
            if self._worker is not None and self._worker.poll() is not None:
                return self._worker.returncode
            # Triton's own end is only wanted when we asked for it.
            return 0 if self._stopping else 1

    def _is_over(self) -> bool:
        """Whether what this container is for has ended: the worker's work, or without one Triton, when we were asked to end it."""
        if self._worker is None:
            return self._stopping
        return self._worker.poll() is not None or (self._stopping and not self.triton.running)


def targets_of(environment: Mapping[str, str]) -> tuple[str, str | None]:
    """TRITON_TARGET, and TRITON_FALLBACK where another one is allowed: it takes over when the first gives other answers than PyTorch."""
    first = environment.get("TRITON_TARGET", "").strip() or "onnxruntime"
    fallback = environment.get("TRITON_FALLBACK", "").strip() or None
    return first, fallback if fallback != first else None


def served_by(chosen: Target, used: Sequence[gpus.Gpu], environment: Mapping[str, str], fallback_from: str) -> Served:
    """Who will answer the probe, in words for people."""
    engines = {"onnxruntime": "ONNX Runtime (CUDA)", "tensorrt": f"TensorRT {environment.get('TRT_VERSION', '')}".rstrip()}
    device = " and ".join(sorted({gpu.name for gpu in used})) or "no GPU"
    if chosen.name == "embedded" and chosen.device == "cpu":
        device = "CPU"
    return Served(chosen.name, engines.get(chosen.name, "ONNX Runtime"), device, fallback_from)


def prepare(
    chosen: Target, role: str, environment: Mapping[str, str], used: Sequence[gpus.Gpu], times: StartTimes, fallback_from: str = ""
) -> TritonProcess:
    """All that Triton needs for a target, and Triton, which is not started yet. Errors: ServingError, OperationsError, SettingsError."""
    for number in preparation.ENDING:
        signal.signal(number, exit_on_signal)
    with times.step("weights and graphs"):
        preset, graphs = preparation.prepare_graphs(environment, chosen)
    # The temporary folder is what is writable under a read-only root file system.
    repository = private_folder() / "repository"
    _set_folders(repository, 0o755)  # an earlier start of this container has taken the permission to write away
    with times.step("model repository"):
        build(graphs, chosen, repository, symlinks=True)
    check_shared_memory(needed_shared_memory(repository))
    plans = chosen.name == "tensorrt"
    if plans:
        with times.step("engines"):
            preparation.prepare_engines(repository, preset, graphs, gpus.of_one_kind(used), environment)
    _set_folders(repository, 0o555)
    key = new_key()
    command = triton_command(repository, role, environment, plans, key, len(used))
    served = served_by(chosen, used, environment, fallback_from)
    return TritonProcess(command, Ports.of(environment), _start_timeout(environment), ProbeGate(repository, key, served))


def main(arguments: list[str]) -> int:
    """Run a role; the exit code."""
    logging.basicConfig(format="respray: %(message)s", level=logging.WARNING)  # stderr
    role, *rest = arguments or ["work"]
    if role == "health":
        port = Ports.of(os.environ).http
        return 0 if listens_here(port, "tritonserver") and ready(port) else 1
    if role not in {"work", "triton"}:
        # Anything else is a command for the orchestrator: `docker run respray doctor`.
        os.execvp("respray", ["respray", role, *rest])
    environment = os.environ
    for number in preparation.ENDING:
        signal.signal(number, exit_on_signal)
    times = StartTimes()
    try:
        if role == "work":
            check_settings(environment, rest)
        check_own_settings(environment, role)
        compiled_loops.use(environment)
        there = gpus.visible()
        used = gpus.choose(there, load_settings(environment).gpu_device)
        gpus.check_capability(used)
        if len(used) < len(there):
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpu.uuid for gpu in used)  # for trtexec and Triton
        worker = ["respray", "work", *rest] if role == "work" else None

        def run(name: str, fallback_from: str = "") -> int:
            chosen = target(name, gpus=len(used), gpu_memory=_graph_memory(environment))
            return Supervisor(prepare(chosen, role, environment, used, times, fallback_from), times).run(worker)

        first, fallback = targets_of(environment)
        try:
            return run(first)
        except ProbeFailed as error:
            if fallback is None:
                raise ProbeFailed(f"{error}; TRITON_FALLBACK may name a target that takes over") from None
            failed = str(error)
        print(f"respray: {failed}; TRITON_FALLBACK={fallback} takes over", file=sys.stderr)
        return run(fallback, failed)
    except (ServingError, OperationsError, SettingsError) as error:
        if type(error) is ServerStartError and (old := gpus.old_driver()):
            error = ServerStartError(f"{error}; {old}")
        if role == "work":  # whose stdout is one event a line
            Events(claim_stdout()).failed(error)
        print(f"respray: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
