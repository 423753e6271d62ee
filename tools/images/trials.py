"""What is done with the built images: a job from a real BullMQ producer, ends in time, restarts, volumes that cannot be written."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tools.images.commands import run

TRITON = "localhost/respray-triton:trial"
WORKER = "localhost/respray-worker:trial"
WORKER_CPU = "docker.io/library/respray-worker-cpu:dev"
CPU_EXTRAS = "EXTRAS=intake,hub,tracing,embedded"
USER = 10001
REDIS, S3, TRITON_PORTS = 26379, 25000, (28000, 28001, 28002)
DEMO = {"MODEL_NAME": "demo", "REQUIRE_REAL_MODEL": "false"}
TRITON_SETTINGS = (
    DEMO
    | {"TRITON_TARGET": "embedded"}
    | dict(zip(("TRITON_HTTP_PORT", "TRITON_GRPC_PORT", "TRITON_METRICS_PORT"), map(str, TRITON_PORTS), strict=True))
)
STORE = {
    "STORAGE_S3_ENDPOINT": f"http://127.0.0.1:{S3}",
    "STORAGE_ACCESS_KEY": "key",
    "STORAGE_SECRET_KEY": "secret",
    "STORAGE_BUCKET": "s3-images",
}
WORKER_SETTINGS = (
    DEMO
    | STORE
    | {
        "ADAPTER": "bullmq",
        "REDIS_URL": f"redis://127.0.0.1:{REDIS}",
        "QUEUE_NAME": "respray",
        "GPU_CALLBACK_SECRET": "secret",
        "TRITON_URL": f"127.0.0.1:{TRITON_PORTS[1]}",
        "GRACE_PERIOD_SEC": "20",
        "HEALTH_PORT": "28090",
    }
)
# Read-only root, a temporary folder, no capabilities, the image's own user: as in deploy/kubernetes/base.
HARDENED = ("--network", "host", "--read-only", "--tmpfs", "/tmp:rw,mode=1777,size=4g", "--shm-size", "2g", "--cap-drop", "all")


def all_trials(work: Path, root: Path) -> list[tuple[str, Callable[[], object]]]:
    """Every trial by name, in order."""
    volume = work / "volume"
    return [
        ("Triton and worker: a job from a BullMQ producer, SIGTERM", lambda: deployment(volume, root, "first")),
        ("the same again on the filled volume", lambda: deployment(volume, root, "second")),
        ("a start that has to compile the pixel loops", lambda: deployment(volume, root, "third", {"RESPRAY_COMPILED_LOOPS": ""})),
        ("fetching from the hub, where no way leads there: Kubernetes' init container", lambda: unreachable_hub(work, WORKER)),
        ("the same in Triton's image", lambda: unreachable_hub(work, TRITON)),
        ("a root-owned volume", lambda: refused(work, "root", "chown -R 10001:")),
        ("a read-only volume", lambda: refused(work, "read-only", "mounted read-only")),
        ("a full volume", lambda: refused(work, "full", "is full")),
        ("the CPU overlay: kubectl kustomize | podman kube play", lambda: overlay(work, root)),
    ]


def deployment(volume: Path, root: Path, job: str, extra: dict[str, str] | None = None) -> str:
    """Both containers, one photo through them, and their ends."""
    volume.mkdir(parents=True, exist_ok=True)
    os.chown(volume, USER, USER)
    with services(), container("respray-triton", TRITON, TRITON_SETTINGS | (extra or {}), ["triton"], volume) as triton:
        began = time.monotonic()
        wait(triton.healthy, 240, triton.log)
        ready = time.monotonic() - began
        with container("respray-worker", WORKER, WORKER_SETTINGS, ["work"], None) as worker:
            began = time.monotonic()
            wait(lambda: '"ready"' in worker.log(), 120, worker.log)
            started = time.monotonic() - began
            began = time.monotonic()
            produce(root, job)
            wait(lambda: f"outputs/me/{job}/0_result.png" in objects(), 120, worker.log)
            done = time.monotonic() - began
            stopped = worker.stop(60)
        ended = triton.stop(60)
        told = re.findall(r"respray: start: (ready after .*)", triton.log())
        return (
            f"Triton healthy after {ready:.0f} s ({told[0] if told else 'says nothing'}), worker after {started:.0f} s, photo done after "
            f"{done:.1f} s, SIGTERM ended the worker in {stopped:.1f} s and Triton in {ended:.1f} s"
        )


def refused(work: Path, kind: str, words: str) -> str:
    """A volume that cannot be written: one sentence with what mends it, no traceback, exit code 1."""
    volume = work / f"volume-{kind}"
    subprocess.run(["umount", str(volume)], capture_output=True, check=False)
    shutil.rmtree(volume, ignore_errors=True)
    volume.mkdir()
    mount = f"{volume}:/models" + (":ro" if kind == "read-only" else "")
    if kind == "full":
        run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "tmpfs", str(volume)])
        (volume / "something").write_bytes(bytes(64 * 1024))
    try:
        settings = ["-e", "MODEL_NAME=sam3", "-e", "HF_TOKEN=none"]
        done = run(["podman", "run", "--rm", *HARDENED, "-v", mount, *settings, TRITON, "weights", "fetch"], check=False, quiet=True)
    finally:
        if kind == "full":
            run(["umount", str(volume)])
    assert done.returncode == 1 and words in done.stdout and "Traceback" not in done.stdout, done.stdout[-2000:]
    return done.stdout.strip().splitlines()[-1]


def unreachable_hub(work: Path, image: str) -> str:
    """The image has the hub's client (extra `hub`), and says in a sentence that the hub cannot be reached."""
    volume = work / "volume-hub"
    shutil.rmtree(volume, ignore_errors=True)
    volume.mkdir()
    os.chown(volume, USER, USER)
    given = [part for pair in ("MODEL_NAME=sam3", "HF_TOKEN=none", "HTTPS_PROXY=http://127.0.0.1:9") for part in ("-e", pair)]
    command = ["podman", "run", "--rm", *HARDENED, "-v", f"{volume}:/models", *given, image, "weights", "fetch"]
    done = run(command, check=False, quiet=True)
    said = done.stdout
    assert done.returncode == 1 and "cannot be reached by HTTPS_PROXY" in said and "Traceback" not in said, said[-2000:]
    return said.strip().splitlines()[-1]


def overlay(work: Path, root: Path) -> str:
    """The whole CPU overlay in one pod of podman's, without any network but its own loopback."""
    rendered = run(["kubectl", "kustomize", str(root / "deploy" / "kubernetes" / "overlays" / "cpu")], quiet=True).stdout
    rendered = _with_open_folders(rendered, work)
    began = time.monotonic()
    play = ["podman", "kube", "play", "--network", "none", "-"]
    done = subprocess.run(play, input=rendered, text=True, capture_output=True, check=False)
    try:
        assert done.returncode == 0, done.stderr[-2000:]
        names = run(["podman", "ps", "--format", "{{.Names}}"], quiet=True).stdout.split()
        worker = Container(next(name for name in names if name.endswith("-worker")))
        wait(lambda: '"ready"' in worker.log(), 240, worker.log)
        ready = time.monotonic() - began
        inside = ["nsenter", "--net", "--target", worker.pid(), sys.executable, "-c"]
        job = "overlay"
        ask = f"from pathlib import Path; from tools.images.trials import *; produce(Path({str(root)!r}), {job!r}, 6379, 5000)"
        run([*inside, ask], quiet=True)
        look = f"from tools.images.trials import *; assert 'outputs/me/{job}/0_result.png' in objects(5000)"
        wait(lambda: run([*inside, look], check=False, quiet=True).returncode == 0, 120, worker.log)
        return f"worker ready after {ready:.0f} s, a photo edited, stopped after {worker.stop(40):.1f} s"
    finally:
        subprocess.run(["podman", "kube", "down", "-"], input=rendered, text=True, capture_output=True, check=False)


def _with_open_folders(rendered: str, work: Path) -> str:
    """The manifests with folders of this machine in the place of `emptyDir`: a kubelet lets any user write there, podman 4 root only."""
    documents = list(yaml.safe_load_all(rendered))
    for document in documents:
        for volume in document.get("spec", {}).get("template", {}).get("spec", {}).get("volumes", []):
            folder = Path("/dev/shm" if volume["emptyDir"].get("medium") == "Memory" else work) / f"respray-overlay-{volume['name']}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            folder.chmod(0o1777)
            del volume["emptyDir"]
            volume["hostPath"] = {"path": str(folder), "type": "Directory"}
    return yaml.safe_dump_all(documents)


class Container:
    """One that runs."""

    def __init__(self, name: str) -> None:
        self.name = name

    def pid(self) -> str:
        """Process id, as this machine counts."""
        return run(["podman", "inspect", "--format", "{{.State.Pid}}", self.name], quiet=True).stdout.strip()

    def log(self) -> str:
        """Everything it said."""
        return run(["podman", "logs", self.name], check=False, quiet=True).stdout

    def healthy(self) -> bool:
        """Whether the image's own HEALTHCHECK passes: `podman healthcheck run` takes its command from the image."""
        return run(["podman", "healthcheck", "run", self.name], check=False, quiet=True).returncode == 0

    def stop(self, seconds: int) -> float:
        """SIGTERM; how long it took. An end by SIGKILL, or with another exit code than 0, is an error."""
        began = time.time()
        run(["podman", "stop", "--time", str(seconds), self.name], quiet=True)
        # Podman goes on to unmount its copy of the image, which is its own time.
        state = "{{.State.ExitCode}} {{.State.FinishedAt.Unix}}"
        code, finished = run(["podman", "inspect", "--format", state, self.name], quiet=True).stdout.split()
        took = max(0.0, float(finished) - began)
        assert code == "0" and took < seconds, f"{self.name} ended with {code} after {took:.0f} s: {self.log()[-2000:]}"
        return took


@contextmanager
def container(name: str, image: str, settings: dict[str, str], arguments: list[str], volume: Path | None) -> Iterator[Container]:
    """A hardened container, removed at the end."""
    run(["podman", "rm", "--force", "--ignore", name], quiet=True)
    given = [part for key, value in settings.items() for part in ("-e", f"{key}={value}")]
    mounts = ["-v", f"{volume}:/models"] if volume else []
    run(["podman", "run", "--detach", "--name", name, *HARDENED, *mounts, *given, image, *arguments], quiet=True)
    try:
        yield Container(name)
    finally:
        run(["podman", "rm", "--force", "--time", "5", name], quiet=True, check=False)


@contextmanager
def services() -> Iterator[None]:
    """A Redis and an S3 server with its bucket, on this machine."""
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    moto = str(Path(sys.executable).parent / "moto_server")
    started = [
        subprocess.Popen(["redis-server", "--port", str(REDIS), "--save", "", "--bind", "127.0.0.1"], **quiet),
        subprocess.Popen([moto, "-H", "127.0.0.1", "-p", str(S3)], **quiet),
    ]
    try:
        wait(_make_bucket, 60, lambda: "the S3 server does not answer")
        yield
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


def _make_bucket() -> bool:
    try:
        _client(S3).create_bucket(Bucket=STORE["STORAGE_BUCKET"])
    except Exception:  # not up yet: boto3 has many words for that
        return False
    return True


def _client(port: int) -> Any:
    import boto3

    return boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", aws_access_key_id="key", aws_secret_access_key="secret", region_name="us-east-1"
    )


def objects(port: int = S3) -> set[str]:
    """Keys in the bucket."""
    return {entry["Key"] for entry in _client(port).list_objects_v2(Bucket=STORE["STORAGE_BUCKET"]).get("Contents", [])}


def produce(root: Path, job: str, redis: int = REDIS, s3: int = S3) -> None:
    """A photo in the bucket, and a job for it from BullMQ's own Node package."""
    photo = (root / "respray" / "demo" / "photos" / "room_1.jpg").read_bytes()
    _client(s3).put_object(Bucket=STORE["STORAGE_BUCKET"], Key=f"inputs/me/{job}/0.jpg", Body=photo)
    message = {
        "job_id": job,
        "user_id": "me",
        "preset": "interior",
        "concepts": {"Wall": {"action": "recolor", "value": "#7C9082"}},
        "items": [{"idx": 0, "input_key": f"inputs/me/{job}/0.jpg", "output_key": f"outputs/me/{job}/0_result.png"}],
        "callback_url": "https://example.com/callback",
    }
    asked = json.dumps({"url": f"redis://127.0.0.1:{redis}", "queue": "respray", "jobs": [message], "options": {"attempts": 1}})
    node = root / "tests" / "orchestrator" / "node"
    subprocess.run(["node", "produce.mjs"], input=asked, text=True, cwd=node, check=True, timeout=60)


def wait(condition: Callable[[], bool], seconds: float, log: Callable[[], str]) -> None:
    """Until it is so. AssertionError with the end of the log after so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s; the log ends: {log()[-2000:]}"
        time.sleep(0.5)
