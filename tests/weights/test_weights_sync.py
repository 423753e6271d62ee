"""Weights from a private bucket: a real S3 server behind a network that cuts, damages and slows down, and two pods on one volume."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import build_app
from respray.weights.engine_cache import engine_folder
from respray.weights.engine_sync import ENGINES, fetch_engines, push_engines
from respray.weights.ensure import ensure, problems
from respray.weights.errors import VolumeLockError, WeightsError
from respray.weights.manifest import MANIFEST, Manifest, describe
from respray.weights.model_presets import choose_preset
from respray.weights.s3_sync import Sync, SyncSource
from respray.weights.volume_lock import VolumeLock

REPOSITORY = Path(__file__).resolve().parents[2]
SIZE = 3_000_000
PART = 256 * 1024


@pytest.fixture
def bucket(s3_client: Any, tmp_path: Path) -> str:
    """A private bucket that holds sam3/ with its manifest; returns its name."""
    name = f"weights-{os.urandom(4).hex()}"
    source = tmp_path / "source" / "sam3"
    (source / "graphs").mkdir(parents=True)
    (source / "graphs" / "image_encoder.onnx.data").write_bytes(random.Random(1).randbytes(SIZE))
    (source / "graphs" / "image_encoder.onnx").write_bytes(b"graph" * 100)
    (source / "config.json").write_text("{}")
    (source / "empty.txt").write_bytes(b"")
    describe(source, "sam3", "upload").write(source)
    s3_client.create_bucket(Bucket=name)
    for path in source.rglob("*"):
        if path.is_file():
            s3_client.upload_file(str(path), name, f"sam3/{path.relative_to(source).as_posix()}")
    return name


def _source(port: int | str, bucket: str) -> SyncSource:
    return SyncSource(f"http://127.0.0.1:{port}", bucket, "test", "test", region="us-east-1")


def _sync(network: Any, bucket: str, folder: Path, threads: int = 4) -> Manifest:
    return Sync(_source(network.port, bucket), "sam3", folder, threads=threads, part_size=PART).run("sam3")


def _same(folder: Path, tmp_path: Path) -> bool:
    return describe(folder, "sam3", "").files == describe(tmp_path / "source" / "sam3", "sam3", "").files


def test_folder_arrives_whole_and_the_second_time_nothing_is_fetched(broken_network: Any, bucket: str, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    folder = ensure(choose_preset("sam3"), volume, sync=_source(broken_network.port, bucket))
    assert _same(folder, tmp_path) and problems(choose_preset("sam3"), volume, full=True) == []
    assert not [path for path in volume.rglob("*") if path.name.endswith((".partial", ".lock"))]
    before = broken_network.sent
    ensure(choose_preset("sam3"), volume, sync=_source(broken_network.port, bucket))
    assert broken_network.sent == before


def test_connections_that_break_are_tried_again(broken_network: Any, bucket: str, tmp_path: Path) -> None:
    broken_network.cut_after, broken_network.cuts = 100_000, 3
    _sync(broken_network, bucket, tmp_path / "sam3")
    assert broken_network.cuts == 0 and _same(tmp_path / "sam3", tmp_path)


def test_one_damaged_transfer_is_noticed_and_repaired(broken_network: Any, bucket: str, tmp_path: Path) -> None:
    broken_network.flip_at, broken_network.flips = 200_000, 1
    _sync(broken_network, bucket, tmp_path / "sam3")
    assert broken_network.flips == 0 and _same(tmp_path / "sam3", tmp_path)


def test_network_that_always_damages_is_an_error_and_leaves_no_file(broken_network: Any, bucket: str, tmp_path: Path) -> None:
    broken_network.flip_at, broken_network.flips = 200_000, 10_000
    with pytest.raises(WeightsError, match=r"image_encoder.onnx.data arrived damaged twice \(SHA-256"):
        _sync(broken_network, bucket, tmp_path / "sam3")
    assert not list((tmp_path / "sam3").rglob("image_encoder.onnx.data*"))


_POD = f"""
import sys
from functools import partial
from pathlib import Path
from respray.weights import ensure, s3_sync
from respray.weights.model_presets import choose_preset
ensure.Sync = partial(s3_sync.Sync, threads=2, part_size={PART})
source = s3_sync.SyncSource(sys.argv[2], sys.argv[3], "test", "test", region="us-east-1")
print("started", flush=True)
ensure.ensure(choose_preset("sam3"), Path(sys.argv[1]), sync=source)
"""


def _pod(volume: Path, network: Any, bucket: str) -> subprocess.Popen[bytes]:
    """A pod that fetches the model to the volume, in a process of its own; returns once it begins."""
    command = [sys.executable, "-c", _POD, str(volume), f"http://127.0.0.1:{network.port}", bucket]
    pod = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert pod.stdout is not None
    assert pod.stdout.readline() == b"started\n", pod.communicate()[1].decode()
    return pod


def test_killed_pod_s_successor_goes_on_where_it_stopped(broken_network: Any, bucket: str, tmp_path: Path) -> None:
    """SIGKILL in the middle: nothing half-done is visible, and what had arrived is not fetched again."""
    volume = tmp_path / "volume"
    broken_network.hold_after = SIZE * 3 // 4
    first = _pod(volume, broken_network, bucket)
    assert broken_network.held.wait(60)
    first.kill()
    first.communicate()
    assert problems(choose_preset("sam3"), volume) and not (volume / "sam3" / MANIFEST).exists()
    assert not (volume / "sam3" / "graphs" / "image_encoder.onnx.data").exists()
    (volume / ".sam3.lock").unlink()  # its heartbeat has stopped; waiting out the lease is tested on its own
    broken_network.release()
    before = broken_network.sent
    second = _pod(volume, broken_network, bucket)
    _, errors = second.communicate()
    assert second.returncode == 0, errors.decode()
    fetched = broken_network.sent - before
    assert fetched < SIZE * 0.8, f"{fetched} of {SIZE} bytes were fetched again"
    assert _same(volume / "sam3", tmp_path)


def test_two_pods_on_one_volume_fetch_once_and_both_find_it_whole(broken_network: Any, bucket: str, tmp_path: Path) -> None:
    broken_network.hold_after = SIZE // 2
    pods = [_pod(tmp_path / "volume", broken_network, bucket)]
    assert broken_network.held.wait(60)  # the first one is in the middle of it ...
    pods.append(_pod(tmp_path / "volume", broken_network, bucket))  # ... when the second one begins
    broken_network.release()
    for pod in pods:
        _, errors = pod.communicate()
        assert pod.returncode == 0, errors.decode()
    assert broken_network.sent < SIZE * 1.2
    assert _same(tmp_path / "volume" / "sam3", tmp_path)


def test_bucket_without_manifest_is_checked_by_entity_tags(s3_client: Any, broken_network: Any, bucket: str, tmp_path: Path) -> None:
    s3_client.delete_object(Bucket=bucket, Key=f"sam3/{MANIFEST}")
    broken_network.flip_at, broken_network.flips = 200_000, 1
    manifest = _sync(broken_network, bucket, tmp_path / "sam3")
    content = (tmp_path / "sam3" / "graphs" / "image_encoder.onnx.data").read_bytes()
    assert manifest.files["graphs/image_encoder.onnx.data"].sha256 == hashlib.sha256(content).hexdigest()
    assert _same(tmp_path / "sam3", tmp_path)


def test_wrong_bucket_empty_prefix_and_unreachable_server_say_which_setting(s3_client: Any, s3_endpoint: str, tmp_path: Path) -> None:
    port = s3_endpoint.rsplit(":", 1)[1]
    with pytest.raises(WeightsError, match="MODEL_SYNC_MINIO_BUCKET"):
        Sync(_source(port, "absent-bucket"), "sam3", tmp_path).run("sam3")
    s3_client.create_bucket(Bucket="empty-bucket")
    with pytest.raises(WeightsError, match="has nothing under sam3/"):
        Sync(_source(port, "empty-bucket"), "sam3", tmp_path).run("sam3")
    with pytest.raises(WeightsError, match="MODEL_SYNC_MINIO_ENDPOINT"):
        Sync(_source(1, "empty-bucket"), "sam3", tmp_path).run("sam3")
    assert "secret" not in repr(SyncSource("http://x", "b", "key", "secret"))


def test_manifest_cannot_write_outside_the_folder(s3_client: Any, s3_endpoint: str, tmp_path: Path) -> None:
    s3_client.create_bucket(Bucket="hostile")
    evil = '{"model": "sam3", "files": {"../../etc/passwd": {"size": 1, "sha256": "%s"}}}' % ("0" * 64)
    s3_client.put_object(Bucket="hostile", Key=f"sam3/{MANIFEST}", Body=evil)
    with pytest.raises(WeightsError, match=r"relative paths without '\.\.'"):
        Sync(_source(s3_endpoint.rsplit(":", 1)[1], "hostile"), "sam3", tmp_path).run("sam3")


class Clock:
    """Goes forward only when someone sleeps; `beat` is what another pod does meanwhile."""

    def __init__(self, beat: Callable[[], None] = lambda: None) -> None:
        self.now, self._beat = 0.0, beat

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self._beat()


def test_lease_of_a_dead_holder_is_taken_over(tmp_path: Path) -> None:
    path, clock = tmp_path / "lock", Clock()
    path.write_text("dead-pod pid 7 0")
    with VolumeLock(path, wait=3600, stale_after=60, clock=clock, sleep=clock.sleep):
        assert 60 <= clock.now < 61
        assert str(os.getpid()) in path.read_text()
    assert not path.exists()


def test_lease_of_a_living_holder_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("other-pod pid 7 0")
    beats = count(1)
    clock = Clock(beat=lambda: os.utime(path, ns=(0, next(beats))))
    with pytest.raises(VolumeLockError, match="was held by other-pod pid 7 for 300 s"):
        VolumeLock(path, wait=300, stale_after=60, clock=clock, sleep=clock.sleep).__enter__()
    assert path.read_text() == "other-pod pid 7 0"


def test_a_holder_s_heartbeat_shows_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with VolumeLock(path, beat=0.01):
        os.utime(path, ns=(0, 0))
        deadline = time.monotonic() + 30
        while path.stat().st_mtime_ns == 0:
            assert time.monotonic() < deadline, "no heartbeat"
            time.sleep(0.01)


def test_commands_push_to_a_private_bucket_and_fetch_verify_from_it(
    s3_client: Any, s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the weights page tells: one machine pushes, a pod with nothing but the settings fetches and verifies."""
    s3_client.create_bucket(Bucket="private-weights")
    source = tmp_path / "builder" / "sam3" / "graphs"
    source.mkdir(parents=True)
    (source / "sam3_image_encoder.onnx").write_bytes(random.Random(2).randbytes(100_000))
    settings = {
        "MODEL_NAME": "sam3",
        "MODEL_SYNC_ENABLED": "true",
        "MODEL_SYNC_MINIO_ENDPOINT": s3_endpoint.removeprefix("http://"),
        "MODEL_SYNC_MINIO_SECURE": "false",
        "MODEL_SYNC_MINIO_BUCKET": "private-weights",
        "MODEL_SYNC_MINIO_ACCESS_KEY": "k",
        "MODEL_SYNC_MINIO_SECRET_KEY": "s",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    runner, app = CliRunner(), build_app()

    def run(root: str, *arguments: str) -> Any:
        monkeypatch.setenv("MODEL_PATH", str(tmp_path / root))
        return runner.invoke(app, ["weights", *arguments])

    assert "1 files of sam3 are in" in run("builder", "push").output
    assert "sam3 is complete in" in run("pod", "fetch").output
    assert (tmp_path / "pod" / "sam3" / "graphs" / "sam3_image_encoder.onnx").read_bytes() == (
        source / "sam3_image_encoder.onnx"
    ).read_bytes()
    assert run("pod", "verify").exit_code == 0
    (tmp_path / "pod" / "sam3" / "graphs" / "sam3_image_encoder.onnx").write_bytes(b"x" * 100_000)
    damaged = run("pod", "verify")
    assert damaged.exit_code == 1 and "wrong SHA-256" in damaged.output
    engines = ("engine-folder", "--gpu", "NVIDIA L4", "--compute-capability", "8.9", "--tensorrt", "10.13.3")
    assert str(tmp_path / "pod" / "engines" / "nvidia-l4-sm89" / "trt-10.13.3" / "fp16-") in run("pod", *engines).output
    monkeypatch.setenv("MODEL_SYNC_MINIO_BUCKET", "")
    assert "MODEL_SYNC_MINIO_BUCKET" in str(run("pod", "fetch").exception)


def test_demo_is_refused_by_fetch_where_the_real_model_is_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REQUIRE_REAL_MODEL", "true")
    refused = CliRunner().invoke(build_app(), ["weights", "fetch", "demo"])
    assert refused.exit_code == 1 and "request access at https://huggingface.co/facebook/sam3" in str(refused.exception)


def test_engines_are_built_once_for_a_kind_of_gpu_and_fetched_by_the_next_pod(s3_endpoint: str, s3_client: Any, tmp_path: Path) -> None:
    """Only those of these graphs; a folder that the bucket does not have is left to be built, as is one that cannot be fetched."""
    name = f"engines-{os.urandom(4).hex()}"
    s3_client.create_bucket(Bucket=name)
    source = SyncSource(s3_endpoint, name, "test", "test", region="us-east-1")
    graph = tmp_path / "sam3_image_encoder.onnx"
    graph.write_bytes(b"graph")
    built, kind = tmp_path / "one" / ENGINES, {"compute_capability": "8.9", "tensorrt": "10.13.3", "precision": "fp16"}
    mine = engine_folder(built, [graph], gpu="NVIDIA L4", **kind)
    for folder in (mine, mine.with_name("fp16-0123456789abcdef")):
        folder.mkdir(parents=True)
        (folder / "sam3_image_encoder-1.plan").write_bytes(b"plan" * 1000)
        (folder / ".lock").write_text("held")
    assert push_engines(source, built, [graph]) == [mine.relative_to(built).as_posix()]
    volume = tmp_path / "two" / ENGINES
    there = engine_folder(volume, [graph], gpu="NVIDIA L4", **kind)
    assert fetch_engines(source, volume, there)
    assert [path.name for path in there.iterdir()] == ["sam3_image_encoder-1.plan"]
    assert (there / "sam3_image_encoder-1.plan").read_bytes() == b"plan" * 1000
    other = engine_folder(volume, [graph], gpu="NVIDIA A100", **kind)
    assert not fetch_engines(source, volume, other)
    assert not fetch_engines(SyncSource(s3_endpoint, f"{name}-none", "test", "test", region="us-east-1"), volume, other)
