"""What a start finds on its machine: the volume, the cores, compiled loops, and what it says about its seconds."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.settings import load_settings
from respray import volumes
from respray.launch import compiled_loops
from respray.launch.start_times import StartTimes
from respray.processors import usable_cores
from respray.triton.errors import HostError
from respray.weights.errors import VolumeError
from respray.weights.volume_errors import explained
from respray.weights.volume_lock import VolumeLock

RUNPOD = {"RUNPOD_POD_ID": "abc"}


@pytest.mark.parametrize(
    ("environment", "mounted", "expected"),
    [
        ({}, "/workspace", "/models"),  # somebody's source code
        (RUNPOD, "", "/models"),
        (RUNPOD, "/workspace", "/workspace"),
        (RUNPOD, "/runpod-volume", "/runpod-volume"),
        ({"RUNPOD_ENDPOINT_ID": "e"}, "/runpod-volume", "/runpod-volume"),
        (RUNPOD | {"MODEL_PATH": "/data"}, "/runpod-volume", "/data"),
        (RUNPOD | {"MODEL_CACHE_DIR": "/data"}, "/workspace", "/data"),
    ],
)
def test_the_models_volume_is_found_where_runpod_mounts_it(
    environment: dict[str, str], mounted: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path) == mounted)
    assert volumes.models_root(environment) == Path(expected)
    assert load_settings(environment, env_file=None).model_path == Path(expected)


def test_cores_follow_the_container_s_quota_and_the_setting(tmp_path: Path) -> None:
    mine = len(os.sched_getaffinity(0))
    assert usable_cores({}, tmp_path) == mine
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores({}, tmp_path) == 1
    for text, expected in (("150000 100000\n", min(mine, 2)), ("max 100000\n", mine), ("not a number\n", mine)):
        (tmp_path / "cpu.max").write_text(text)
        assert usable_cores({}, tmp_path) == expected
    assert usable_cores({"RESPRAY_THREADS": "7"}, tmp_path) == 7
    with pytest.raises(ValueError, match=r"RESPRAY_THREADS='0'.*at least 1"):
        usable_cores({"RESPRAY_THREADS": "0"})


def test_what_the_image_compiled_is_used_by_a_process_that_may_not_write_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numba itself compiles in one process, and in another loads from the copy of a folder that it may not write."""
    (tmp_path / "loop.py").write_text("from respray.editing.core.compiled import compiled\n@compiled\ndef f(x):\n    return x + 1\nf(1)\n")
    baked = tmp_path / "baked"
    fixed = {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": "+avx2"}
    say = "import loop; print(sum(loop.f.stats.cache_hits.values()))"
    root = Path(__file__).resolve().parents[2]
    base = {**os.environ, **fixed, "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}"}

    def hits(folder: str) -> int:
        run = [sys.executable, "-c", say]
        done = subprocess.run(run, env={**base, "NUMBA_CACHE_DIR": folder}, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert hits(str(baked)) == 0
    baked.chmod(0o555)
    (cpu := tmp_path / "cpuinfo").write_text("flags : " + " ".join(compiled_loops.NEEDED) + "\n")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    variables = compiled_loops.take_over({compiled_loops.BAKED: str(baked)}, cpu)
    copy = variables["NUMBA_CACHE_DIR"]
    assert copy is not None and hits(copy) == 1
    private = tmp_path / f"respray-{os.getuid()}"
    assert Path(copy).is_relative_to(private) and private.stat().st_mode & 0o077 == 0
    private.chmod(0o777)  # what anybody may write to would be loaded as our own code
    with pytest.raises(HostError, match="is not a folder of this user alone; remove it"):
        compiled_loops.take_over({compiled_loops.BAKED: str(baked)}, cpu)
    cpu.write_text("flags : sse2\n")  # an older processor compiles for itself
    assert compiled_loops.take_over({compiled_loops.BAKED: str(baked)}, cpu) == {"NUMBA_CPU_NAME": None, "NUMBA_CPU_FEATURES": None}
    assert compiled_loops.take_over({}, cpu) == {}


def test_a_start_says_where_its_seconds_went(capsys: pytest.CaptureFixture[str]) -> None:
    ticks = iter([0.0, 1.0, 3.5, 4.0, 4.5, 5.0])
    times = StartTimes(lambda: next(ticks))
    with times.step("weights and graphs"):
        pass
    with pytest.raises(KeyError), times.step("engines"):
        raise KeyError
    assert times.summary() == "ready after 5.0 s: weights and graphs 2.5, engines 0.5"
    assert "respray: start: weights and graphs 2.5 s" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--adapter", "bullmq"], ["--adapter=bullmq"]])
def test_settings_are_checked_before_anything_is_fetched(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "respray.launch.container", "work", *arguments]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "MODEL_NAME": "sam3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 1
    assert "STORAGE_S3_ENDPOINT" in done.stderr and "REDIS_URL" in done.stderr and "nvidia-smi" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_volume_of_somebody_else_is_one_sentence_with_the_command_that_mends_it(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    cases = {errno.EACCES: f"chown -R {os.getuid()}:", errno.EROFS: "mounted read-only", errno.ENOSPC: f"du -sh {volume}/*"}
    for number, words in cases.items():
        with pytest.raises(VolumeError) as caught, explained(volume / "sam3"):
            raise OSError(number, os.strerror(number))
        assert words in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(OSError, match="Input/output"), explained(volume):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_the_lock_of_a_volume_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """As the image's user: root may write anywhere, so the child gives up that right."""
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(stat.S_IRUSR | stat.S_IXUSR)
    lines = [
        "from pathlib import Path",
        "from respray.weights.volume_lock import VolumeLock",
        f"with VolumeLock(Path({str(volume)!r}) / '.lock'): pass",
    ]
    text = "\n".join(lines)
    drop = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
    done = subprocess.run([*drop, sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert "VolumeError" in done.stderr and "chown -R" in done.stderr
    volume.chmod(0o755)
    with VolumeLock(volume / ".lock"):
        assert (volume / ".lock").exists()
