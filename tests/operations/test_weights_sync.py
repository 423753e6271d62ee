"""Weights from a private bucket: a real S3 server behind a network that cuts, damages and slows down, and two pods on one volume."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import build_app
from respray.weights.ensure import ensure, problems
from respray.weights.errors import WeightsError
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


_WORKER = """
import sys
from pathlib import Path
from respray.weights.model_presets import choose_preset
from respray.weights.s3_sync import SyncSource
from operations import weights, s3_sync
original = s3_sync.Sync.__init__
def small_parts(self, source, prefix, folder): original(self, source, prefix, folder, threads=2, part_size={part})
s3_sync.Sync.__init__ = small_parts
source = SyncSource(sys.argv[2], sys.argv[3], "test", "test", region="us-east-1")
weights.ensure(choose_preset("sam3"), Path(sys.argv[1]), sync=source)
""".replace("{part}", str(PART))


def _worker(volume: Path, network: Any, bucket: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _WORKER, str(volume), f"http://127.0.0.1:{network.port}", bucket]
    return subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE)


def test_killed_pod_s_successor_goes_on_where_it_stopped(broken_network: Any, bucket: str, tmp_path: Path) -> None:
    """SIGKILL in the middle: nothing half-done is visible, and what had arrived is not fetched again."""
    volume = tmp_path / "volume"
    broken_network.bytes_per_second = 1_000_000
    first = _worker(volume, broken_network, bucket)
    deadline = time.monotonic() + 30
    while broken_network.sent < SIZE // 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    first.communicate()
    assert problems(choose_preset("sam3"), volume) and not (volume / "sam3" / MANIFEST).exists()
    assert not (volume / "sam3" / "graphs" / "image_encoder.onnx.data").exists()
    (volume / ".sam3.lock").unlink()  # its heartbeat has stopped; waiting out the lease is tested on its own
    before = broken_network.sent
    broken_network.bytes_per_second = None
    second = _worker(volume, broken_network, bucket)
    assert second.wait() == 0, second.communicate()[1].decode()
    fetched = broken_network.sent - before
    assert fetched < SIZE * 0.8, f"{fetched} of {SIZE} bytes were fetched again"
    assert _same(volume / "sam3", tmp_path)


def test_two_pods_on_one_volume_fetch_once_and_both_find_it_whole(broken_network: Any, bucket: str, tmp_path: Path) -> None:
    broken_network.bytes_per_second = 4_000_000
    pods = [_worker(tmp_path / "volume", broken_network, bucket) for _ in range(2)]
    for pod in pods:
        assert pod.wait() == 0, pod.communicate()[1].decode()
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


def test_lease_of_a_dead_holder_is_taken_over_and_a_living_one_s_is_not(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("dead-pod pid 7 0")
    started = time.monotonic()
    with VolumeLock(path, wait=10, stale_after=0.5, beat=0.1):
        assert 0.4 < time.monotonic() - started < 5
        with pytest.raises(Exception, match=rf"was held by {os.uname().nodename} pid {os.getpid()} for 1 s"):
            VolumeLock(path, wait=1.0, stale_after=0.5, beat=0.1).__enter__()
    assert not path.exists()


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
