"""The GPU image's entry point, run for real: the embedded server in place of the image's, scripts in place of the GPU and the worker."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import pytest

from respray.launch import container, preparation, triton_process
from respray.launch.container import Supervisor
from respray.launch.gpus import Gpu
from respray.launch.start_times import StartTimes
from respray.launch.triton_process import Ports, TritonProcess, triton_command
from respray.triton import watchdog
from respray.triton.embedded import server_files
from respray.triton.errors import ProbeFailed
from respray.triton.probe_gate import Served
from respray.triton.repository.build_repository import build, needed_pool
from respray.triton.repository.targets import Target
from respray.triton.repository.targets import target as target_of
from respray.triton.watchdog import MAX_RESTARTS
from tests.faults.processes import LIMIT, wait_for

pytestmark = pytest.mark.server
WORKER = """
import asyncio, json, os, signal, sys
from respray.triton.client import PipelineClient
from tests.triton.photos import jpeg, request
if sys.argv[1:] == ["weights", "fetch"]:
    print("fetched", file=sys.stderr)
    sys.exit(0)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
async def work():
    async with PipelineClient(os.environ["TRITON_URL"]) as client:
        result = await client.edit(jpeg(), request("floor"))
        try:
            await client.statistics()
            refused = ""
        except Exception as error:
            refused = str(error)
        print(json.dumps({"arguments": sys.argv[1:], "files": len(result.files), "statistics": refused}), flush=True)
asyncio.run(work())
signal.sigwait({signal.SIGTERM})
async def drain():
    async with PipelineClient(os.environ["TRITON_URL"]) as client:
        await client.edit(jpeg(), request("floor"))
        print(json.dumps({"drained": True}), flush=True)
asyncio.run(drain())
"""


def script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for entry in sockets:
            entry.bind(("127.0.0.1", 0))
        return [entry.getsockname()[1] for entry in sockets]
    finally:
        for entry in sockets:
            entry.close()


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """A PATH on which `tritonserver` is the wheel's real one, and an environment for the entry point."""
    files = server_files.prepare()
    tools = tmp_path / "tools"
    tools.mkdir()
    libraries = os.pathsep.join(map(str, files.library_path))
    flags = f'--backend-directory="{files.backends}" --cache-directory="{files.caches}"'
    script(tools / "tritonserver", f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{files.binary}" {flags} "$@"\n')
    script(tools / "nvidia-smi", "#!/bin/sh\necho '0, GPU-5a1e, NVIDIA L4, 8.9'\n")
    (tools / "worker.py").write_text(WORKER)
    script(tools / "respray", f'#!/bin/sh\nexec "{sys.executable}" "{tools / "worker.py"}" "$@"\n')
    http, grpc, metrics = free_ports(3)
    (tmp_path / "tmp").mkdir()
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
        "TMPDIR": str(tmp_path / "tmp"),
        "MODEL_NAME": "demo",
        "REQUIRE_REAL_MODEL": "false",
        "GPU_CALLBACK_SECRET": "secret",
        "STORAGE_S3_ENDPOINT": "http://127.0.0.1:9",
        "STORAGE_ACCESS_KEY": "key",
        "STORAGE_SECRET_KEY": "key",
        "MODEL_PATH": str(tmp_path / "models"),
        "TRITON_TARGET": "embedded",
        "TRITON_HTTP_PORT": str(http),
        "TRITON_GRPC_PORT": str(grpc),
        "TRITON_METRICS_PORT": str(metrics),
    }


def _triton(supervisor: int) -> int:
    """Process id of the tritonserver that a supervisor runs, 0 where it runs none."""
    children = psutil.Process(supervisor).children()
    return next((child.pid for child in children if child.name() == "tritonserver"), 0)


def test_triton_then_the_worker_a_triton_that_dies_and_on_sigterm_the_worker_first(
    surroundings: dict[str, str], demo_graphs: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "respray.launch.container", "work", "--adapter", "local"]
    health = [sys.executable, "-m", "respray.launch.container", "health"]
    with (
        (tmp_path / "log").open("w+") as log,
        subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE, stderr=log, text=True) as running,
    ):
        assert running.stdout is not None
        first = json.loads(running.stdout.readline() or "{}")
        healthy = subprocess.run(health, env=surroundings, check=False).returncode
        repository = Path(surroundings["TMPDIR"]) / f"respray-{os.getuid()}" / "repository"
        assert stat.S_IMODE(repository.stat().st_mode) == 0o555
        triton = _triton(running.pid)
        os.kill(triton, signal.SIGKILL)
        wait_for("another Triton", lambda: _triton(running.pid) not in (0, triton))
        wait_for("its readiness", lambda: triton_process.ready(int(surroundings["TRITON_HTTP_PORT"])))
        running.send_signal(signal.SIGTERM)
        output, _ = running.communicate(timeout=LIMIT)
        log.seek(0)
        told = log.read()
    assert first["arguments"] == ["work", "--adapter", "local"], told[-2000:]
    assert first["files"] == 2
    assert "respray-key" in first["statistics"] or "restricted" in first["statistics"], first
    assert healthy == 0
    assert json.loads(output) == {"drained": True}  # the worker lived on and edits again; nothing else on stdout: Triton's log is on stderr
    assert running.returncode == 0
    assert "fetched" in told
    assert told.index("Started GRPCInferenceService") < told.index("Triton ended by itself (status -9); starting it again")
    assert told.rindex("Waiting for in-flight requests") > told.rindex("Started GRPCInferenceService")
    assert subprocess.run(health, env=surroundings, check=False).returncode == 1
    assert not list(Path("/dev/shm").glob(f"{triton_process.TRITON_SEGMENTS}*"))


@pytest.fixture
def supervise() -> Iterator[Callable[[list[str], Ports], Supervisor]]:
    """Make one in this process, whose own signal handlers come back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield lambda command, ports: Supervisor(TritonProcess(command, ports, start_timeout=20.0))
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_triton_that_keeps_dying_ends_the_container(
    supervise: Callable[[list[str], Ports], Supervisor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "PAUSES", (0.0, 0.1, 0.1))  # how long they are is tests/triton/test_watchdog.py's
    ports = Ports(*free_ports(3))
    starts = tmp_path / "starts"
    # Ready at once, by a web server of its own, and dead a moment later.
    script(
        tmp_path / "tritonserver",
        f"""#!{sys.executable}
import http.server, threading, time
open({str(starts)!r}, "a").write("x")
handler = type("H", (http.server.BaseHTTPRequestHandler,), {{"do_GET": lambda self: (self.send_response(200), self.end_headers())}})
threading.Thread(target=http.server.HTTPServer(("127.0.0.1", {ports.http}), handler).serve_forever, daemon=True).start()
time.sleep(1.0)
raise SystemExit(6)
""",
    )
    assert supervise([str(tmp_path / "tritonserver")], ports).run(None) == 1
    assert len(starts.read_text()) == 1 + MAX_RESTARTS


def test_a_signal_before_triton_ends_the_step_and_all_that_it_started(surroundings: dict[str, str], tmp_path: Path) -> None:
    tools, started = Path(surroundings["PATH"].split(os.pathsep)[0]), tmp_path / "started"
    script(tools / "respray", "#!/bin/sh\nsleep 600 &\necho $! >&2\nwait\n")
    script(tools / "tritonserver", f"#!/bin/sh\ntouch {started}\nexec sleep 600\n")
    command = [sys.executable, "-m", "respray.launch.container", "triton"]
    with subprocess.Popen(command, env=surroundings, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        left = int(running.stderr.readline())
        running.send_signal(signal.SIGTERM)
        _, log = running.communicate(timeout=LIMIT)
    assert running.returncode == 0, log
    assert not started.exists()
    wait_for("the end of what it started", lambda: not _lives(left))


# A signal comes while a step is being started, beside the thread of a volume's lock, which the kernel may hand it to.
INTERRUPTED = """
import os, signal, subprocess, sys
from pathlib import Path
from respray.weights.volume_lock import VolumeLock
from respray.launch import container, preparation
class Popen(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        print(self.pid, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(100_000):
            pass
subprocess.Popen = Popen
for number in preparation.ENDING:
    signal.signal(number, container.exit_on_signal)
with VolumeLock(Path(sys.argv[1])):
    preparation.run_step(["sleep", "600"], "")
"""


def test_a_signal_within_the_start_of_a_step_ends_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "lock")]
    # A step that is left behind would hold the pipe, and this would run into its time limit.
    run = subprocess.run(command, cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert run.returncode == 0, run.stderr
    wait_for("the end of the step", lambda: not _lives(int(run.stdout)))
    assert not (tmp_path / "lock").exists()


def _lives(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_signal_in_the_moment_of_tritons_start_is_not_lost(supervise: Callable[[list[str], Ports], Supervisor]) -> None:
    supervisor = supervise(["sleep", "600"], Ports(*free_ports(3)))
    signal.raise_signal(signal.SIGTERM)
    assert supervisor.run(None) == 0


def test_a_step_that_fails_ends_the_container_with_its_reason(surroundings: dict[str, str]) -> None:
    script(
        Path(surroundings["PATH"].split(os.pathsep)[0]) / "respray",
        "#!/bin/sh\necho 'access to facebook/sam3 is not granted' >&2\nexit 1\n",
    )
    command = [sys.executable, "-m", "respray.launch.container", "triton"]
    run = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "access to facebook/sam3 is not granted" in run.stderr
    assert "respray: the model's weights could not be fetched; the reason stands above" in run.stderr


def test_a_container_without_a_gpu_says_so(surroundings: dict[str, str]) -> None:
    script(Path(surroundings["PATH"].split(os.pathsep)[0]) / "nvidia-smi", "#!/bin/sh\nexit 9\n")
    command = [sys.executable, "-m", "respray.launch.container", "triton"]
    run = subprocess.run(command, env=surroundings, capture_output=True, text=True, check=False)
    assert "respray: no GPU is visible in this container; start it with --gpus all" in run.stderr


TRTEXEC = '#!/bin/sh\nfor a in "$@"; do case "$a" in --saveEngine=*) echo plan > "${a#--saveEngine=}";; esac; done\n'


def test_triton_and_engines_get_the_gpus_that_are_chosen(surroundings: dict[str, str], tmp_path: Path) -> None:
    tools = Path(surroundings["PATH"].split(os.pathsep)[0])
    rows = "0, GPU-aaaa, NVIDIA L4, 8.9\\n1, GPU-bbbb, NVIDIA H100 80GB HBM3, 9.0\\n2, GPU-cccc, NVIDIA H100 80GB HBM3, 9.0"
    script(tools / "nvidia-smi", f"#!/bin/sh\nprintf '{rows}\\n'\n")
    script(tools / "trtexec", TRTEXEC)
    script(tools / "tritonserver", f'#!/bin/sh\necho "$CUDA_VISIBLE_DEVICES $@" > {tmp_path}/told; exit 3\n')

    def start(chosen: str) -> subprocess.CompletedProcess[str]:
        environment = {**surroundings, "TRITON_TARGET": "tensorrt", "TRT_VERSION": "10.13.3.9", "GPU_DEVICE": chosen}
        command = [sys.executable, "-m", "respray.launch.container", "triton"]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "Triton ended while starting (status 3)" in start("2,1").stderr
    told = (tmp_path / "told").read_text()
    assert told.startswith("GPU-cccc,GPU-bbbb --")
    assert "--cuda-memory-pool-byte-size=1:" in told and "byte-size=2:" not in told
    (plan, _) = sorted((tmp_path / "models" / "engines").rglob("*.plan"))
    assert "nvidia-h100-80gb-hbm3-sm90" in str(plan)
    kinds = "needs GPUs of one kind, and this container sees NVIDIA H100 80GB HBM3 and NVIDIA L4"
    for setting, said in {"7": "respray: GPU_DEVICE='7'", "0,1": kinds}.items():
        refused = start(setting)
        assert refused.returncode == 1 and said in refused.stderr


def test_engines_are_built_once_per_gpu_and_tensorrt_version(surroundings: dict[str, str], demo_graphs: Path, tmp_path: Path) -> None:
    tools = Path(surroundings["PATH"].split(os.pathsep)[0])
    script(tools / "trtexec", TRTEXEC)
    script(tools / "tritonserver", '#!/bin/sh\necho "$@" > arguments\nexit 3\n')
    # Without the capability by which root writes where no one has permission to, as the image's user is.
    as_user = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    command = [*as_user, sys.executable, "-m", "respray.launch.container", "triton"]

    def start(target: str) -> str:
        environment = {**surroundings, "TRITON_TARGET": target, "TRT_VERSION": "10.13.3.9+cuda13.0"}
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False).stderr

    assert "Triton ended while starting (status 3)" in start("tensorrt")
    plans = sorted((tmp_path / "models" / "engines").rglob("*.plan"))
    built = [path.stat().st_mtime_ns for path in plans]
    # A restart that keeps /tmp finds the repository without its permissions to write; another target then replaces it.
    for target in ("tensorrt", "embedded", "tensorrt"):
        assert "Triton ended while starting (status 3)" in start(target)
    assert [path.stat().st_mtime_ns for path in plans] == built
    assert [path.name.rpartition("-")[0] for path in plans] == ["sam3_concept_decoder", "sam3_image_encoder"]
    assert "nvidia-l4-sm89/trt-10.13.3.9" in str(plans[0])
    arguments = (tmp_path / "arguments").read_text()
    assert "--model-config-name=plan" in arguments
    assert "--http-address=0.0.0.0" in arguments


def test_work_listens_on_loopback_and_restricts_all_but_inference_and_health() -> None:
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in triton_command(Path("/r"), "work", {}, plans=False, key="k")[2:])
    assert flags["grpc-address"] == flags["http-address"] == flags["metrics-address"] == "127.0.0.1"
    restricted = flags["grpc-restricted-protocol"].split(":")[0].split(",")
    assert {"metadata", "statistics", "model-config", "shared-memory", "model-repository", "trace", "logging"} == set(restricted)
    assert flags["model-control-mode"] == "explicit"


def test_every_gpu_gets_memory_for_what_passes_between_models(demo_graphs: Path, tmp_path: Path) -> None:
    repository = build(demo_graphs, target_of("onnxruntime", gpus=2), tmp_path / "repository")
    command = triton_command(repository, "work", {}, plans=False, key="k", devices=2)
    pool = needed_pool(repository)
    assert [flag for flag in command if "cuda-memory-pool" in flag] == [f"--cuda-memory-pool-byte-size={gpu}:{pool}" for gpu in (0, 1)]
    assert f"--pinned-memory-pool-byte-size={max(256 << 20, 2 * pool)}" in command
    embedded = build(demo_graphs, target_of("embedded"), tmp_path / "embedded")
    assert not [flag for flag in triton_command(embedded, "work", {}, plans=False, key="k", devices=2) if "-pool-" in flag]


def test_each_target_gets_graphs_with_its_own_attention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the steps, which need the published weights and torch."""
    model, commands = tmp_path / "sam3", []
    (model / "checkpoint").mkdir(parents=True)

    def step(command: list[str], failure: str) -> None:
        if "--out" in command:
            given = dict(zip(command[3::2], command[4::2], strict=True))
            commands.append((given["--attention"], given["--precision"], Path(given["--out"]).name))
            Path(given["--out"]).mkdir()
            (Path(given["--out"]) / "spec.json").write_text(json.dumps({"attention": given["--attention"]}))

    def graphs(name: str) -> str:
        return preparation.prepare_graphs({"MODEL_PATH": str(tmp_path)}, target_of(name))[1].name

    monkeypatch.setattr(preparation, "run_step", step)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert [graphs(name) for name in ("onnxruntime", "onnxruntime", "tensorrt", "tensorrt", "onnxruntime")] == [
        *("graphs", "graphs", "graphs-explicit", "graphs-explicit", "graphs")
    ]
    assert commands == [("ort", "fp16", "graphs"), ("explicit", "fp16", "graphs-explicit")]
    # Graphs from before, in an image that cannot export others: they are used, and building the repository warns.
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (model / "graphs" / "spec.json").write_text('{"attention": "explicit"}')
    assert graphs("onnxruntime") == "graphs" and len(commands) == 2


def test_a_target_with_wrong_answers_is_named_and_the_allowed_one_takes_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TensorRT cannot run here: its start is replaced by the gate's error. What takes over knows in whose place it stands."""
    served: list[Served] = []

    def start(
        chosen: Target, role: str, environment: object, used: Sequence[Gpu], times: StartTimes, fallback_from: str = ""
    ) -> TritonProcess:
        served.append(container.served_by(chosen, used, {"TRT_VERSION": "10.13.3"}, fallback_from))
        raise ProbeFailed(f"sam3 is not served right by {served[-1]}")

    monkeypatch.setattr(container, "prepare", start)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)  # this process is the tests'
    monkeypatch.setattr("respray.launch.gpus.visible", lambda: [Gpu("0", "GPU-1", "NVIDIA L4", "8.9")])
    for kind, port in zip(("HTTP", "GRPC", "METRICS"), free_ports(3), strict=True):  # the usual ones may have a server
        monkeypatch.setenv(f"TRITON_{kind}_PORT", str(port))
    monkeypatch.setenv("TRITON_TARGET", "tensorrt")
    assert container.main(["triton"]) == 1
    alone = capsys.readouterr().err
    assert "by TensorRT 10.13.3 on NVIDIA L4 (target tensorrt); TRITON_FALLBACK may name a target that takes over" in alone
    monkeypatch.setenv("TRITON_FALLBACK", "onnxruntime")
    assert container.main(["triton"]) == 1
    assert "TRITON_FALLBACK=onnxruntime takes over" in capsys.readouterr().err
    first, second = served[1:]
    assert (second.target, second.engine) == ("onnxruntime", "ONNX Runtime (CUDA)")
    assert second.fallback_from == f"sam3 is not served right by {first}"
