"""What a machine can lack: each provoked for real where that is possible, and told in words that help."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from respray.triton.embedded import preflight, server_files
from respray.triton.embedded.server import EmbeddedServer, ServerOptions
from respray.triton.errors import HostError

START = """import sys; from pathlib import Path; from respray.triton.embedded.server import EmbeddedServer
EmbeddedServer(Path(sys.argv[1])).start()"""


@pytest.mark.parametrize("glibc", ["glibc 2.31", "musl 0"])
def test_an_old_or_foreign_c_library(glibc: str) -> None:
    with pytest.raises(HostError, match=rf"needs glibc 2\.35 or later \(Debian 12, Ubuntu 22\.04\); this machine has {glibc}"):
        preflight.check_platform(glibc=glibc)


def test_another_processor() -> None:
    with pytest.raises(HostError, match="runs on x86-64 Linux; this is linux on aarch64"):
        preflight.check_platform(machine="aarch64")


def test_this_machine_passes() -> None:
    preflight.check_platform()
    preflight.check_shared_memory(1 << 20)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = EmbeddedServer(tmp_path, ServerOptions(grpc_port=port, log_file=tmp_path / "log", shared_memory=0))
        with pytest.raises(HostError, match=f"Port {port} on 127.0.0.1 cannot be used for gRPC .*Stop what listens there"):
            server.start()
        assert not server.running


def test_a_port_that_is_none() -> None:
    with pytest.raises(HostError, match=r"Port 70000 .* cannot be used for HTTP"):
        preflight.claim_ports({"HTTP": 70000})


def test_free_ports_are_different_ones() -> None:
    """Five hundred, so that a port which is given out twice is nearly certain to be among them."""
    found = preflight.claim_ports({str(number): 0 for number in range(500)})
    assert len(set(found.values())) == 500


def test_a_small_dev_shm(tmp_path: Path) -> None:
    """A real 8 MB /dev/shm in a mount namespace of its own, as Docker would give 64 MB."""
    (tmp_path / "respray-build.json").write_text('{"shared_memory": 200000000}')
    script = f'mount -t tmpfs -o size=8m tmpfs /dev/shm && exec "{sys.executable}" -c "{START}" "{tmp_path}"'
    run = subprocess.run(["unshare", "--mount", "--map-root-user", "sh", "-c", script], capture_output=True, text=True, check=False)
    if "unshare" in run.stderr or "mount:" in run.stderr:
        pytest.skip(f"no mount namespaces here: {run.stderr.strip()}")
    assert "/dev/shm has 8 MiB free of 8; this model repository needs 191 MiB. Docker: --shm-size=191m" in run.stderr


def test_a_repository_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="nowhere is no model repository; build one with: respray build"):
        EmbeddedServer(tmp_path / "nowhere")


def test_a_missing_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(HostError, match=r"nvidia-pytriton is missing\. Install it with: pip install .*(\[embedded\]|--no-deps)"):
        server_files.prepare()


def test_a_missing_libpython(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", lambda name: str(tmp_path) if name == "LIBDIR" else None)
    monkeypatch.setattr(sys, "base_prefix", str(tmp_path))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(HostError, match=rf"libpython{version}\.so\.1\.0, which is in none of .*apt-get install libpython{version}\."):
        server_files.find_libpython()


def test_a_missing_library(tmp_path: Path) -> None:
    """The wheel's real server with one of its libraries taken away."""
    server, libraries = server_files.wheel_folders()
    fake = tmp_path / "site-packages"
    shutil.copytree(server, fake / "pytriton" / "tritonserver")
    (fake / "pytriton" / "__init__.py").touch()
    (fake / libraries.name).mkdir()
    for library in libraries.iterdir():
        if not library.name.startswith("libb64"):
            (fake / libraries.name / library.name).symlink_to(library)
    (tmp_path / "repository").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(fake), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    command = [sys.executable, "-c", START, str(tmp_path / "repository")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "tritonserver cannot start, libraries are missing: libb64-98cb6333.so.0d (reinstall nvidia-pytriton)" in run.stderr


def test_server_files_are_prepared_once(tmp_path: Path) -> None:
    first = server_files.prepare(tmp_path)
    stamp = (first.backends / "python" / server_files.STUB).stat().st_ino
    second = server_files.prepare(tmp_path)
    assert first == second
    assert (second.backends / "python" / server_files.STUB).stat().st_ino == stamp
    assert [path.name for path in (tmp_path / "embedded").iterdir() if path.name.startswith(".")] == []


def test_segments_of_dead_owners_are_swept_and_of_living_ones_kept(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, living, other = tmp_path / f"respray_{ended.pid}_a_1", tmp_path / f"respray_{os.getpid()}_a_1", tmp_path / "else"
    for file in (dead, living, other):
        file.touch()
    assert preflight.sweep_segments(tmp_path) == 1
    assert sorted(tmp_path.iterdir()) == sorted([living, other])
