"""Checks 1 to 4 of the doctor, each in both directions: the thing is there and works, and the thing is really broken."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from respray.doctor import FAIL, PASS, WARN, Finding, Situation, codecs, cuda, cudnn, gpu
from respray.segmentation import accelerator
from respray.segmentation.accelerator import cuda_problem

# What nvidia-smi of a real driver prints for the doctor's query.
_SMI = "#!/bin/sh\necho '0, NVIDIA L4, 580.95.05, 23034'\n"


@pytest.fixture(autouse=True)
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the libraries of NVIDIA's wheels out, which PyTorch brings along where pip takes it from PyPI: the tests bring their own."""
    for module in (accelerator, cuda, cudnn):
        monkeypatch.setattr(module, "site_packages", list)


@pytest.fixture
def situation(tmp_path: Path) -> Callable[..., Situation]:
    """A situation with an empty PATH folder and an empty /dev, to be filled by the test."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "dev").mkdir()

    def make(gpu: str = "auto", **environment: str) -> Situation:
        variables = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", **environment}
        return Situation(variables, gpu=gpu, device_folder=tmp_path / "dev")

    return make


def _program(folder: Path, name: str, text: str) -> None:
    path = folder / "bin" / name
    path.write_text(text)
    path.chmod(0o755)


def _statuses(findings: list[Finding]) -> set[str]:
    return {finding.status for finding in findings}


def _needs_no_nvidia() -> None:
    if shutil.which("nvidia-smi", path="/usr/bin:/bin"):
        pytest.skip("this machine has a driver: its absence cannot be tried here")


def test_gpu_is_named_with_driver_and_memory(situation: Callable[..., Situation], tmp_path: Path) -> None:
    _program(tmp_path, "nvidia-smi", _SMI)
    (finding,) = gpu.run(situation())
    assert (finding.status, finding.what) == (PASS, "GPU 0: NVIDIA L4, driver 580.95.05, 23034 MiB")


def test_no_driver_is_the_cpu_path_on_a_laptop_and_a_failure_on_runpod(situation: Callable[..., Situation], tmp_path: Path) -> None:
    _needs_no_nvidia()
    (finding,) = gpu.run(situation())
    assert finding.status == WARN and "CPU path" in finding.what
    (finding,) = gpu.run(situation(RUNPOD_POD_ID="abc"))
    assert finding.status == FAIL and "--gpus all" in finding.fix
    (tmp_path / "dev" / "nvidiactl").touch()
    assert gpu.run(situation())[0].status == FAIL


def test_driver_that_does_not_answer_and_small_or_old_cards(situation: Callable[..., Situation], tmp_path: Path) -> None:
    _program(
        tmp_path, "nvidia-smi", '#!/bin/sh\necho "NVIDIA-SMI has failed because it couldn\'t communicate with the NVIDIA driver"\nexit 9\n'
    )
    (finding,) = gpu.run(situation("required"))
    assert finding.status == FAIL and "exited with 9: NVIDIA-SMI has failed" in finding.what
    _program(tmp_path, "nvidia-smi", "#!/bin/sh\necho '0, Tesla M60, 525.125.06, 7680'\n")
    findings = gpu.run(situation())
    assert [finding.status for finding in findings] == [WARN, FAIL]
    assert "525.125.06 is older than 580" in findings[0].what and "needs 8000 MiB" in findings[1].what


def _library(folder: Path, name: str, source: str) -> None:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler to make a library with")
    folder.mkdir(exist_ok=True)
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(folder / name)], input=source.encode(), check=True)


_CUBLAS = "int cublasGetProperty(int kind, int *value) { int v[] = {12, 9, 1}; *value = v[kind]; return 0; }"
_CUBLAS_LT = "#include <stddef.h>\nsize_t cublasLtGetVersion(void) { return 120901; }"
_CUDNN = "#include <stddef.h>\nsize_t cudnnGetVersion(void) { return 91002; }"
_ABORTS = "#include <stdlib.h>\n__attribute__((constructor)) static void start(void) { abort(); }"


def test_cuda_libraries_are_loaded_and_asked_for_their_version(situation: Callable[..., Situation], tmp_path: Path) -> None:
    libraries = tmp_path / "lib"
    _library(libraries, "libcublas.so.12", _CUBLAS)
    _library(libraries, "libcublasLt.so.12", _CUBLAS_LT)
    findings = cuda.run(situation("required", LD_LIBRARY_PATH=str(libraries)))
    assert _statuses(findings) == {PASS}
    assert f"libcublas.so.12 12.9.1 from {libraries}/libcublas.so.12" in [finding.what for finding in findings]


def test_cuda_libraries_that_are_missing_or_no_libraries_mean_the_cpu_path(situation: Callable[..., Situation], tmp_path: Path) -> None:
    findings = cuda.run(situation("optional"))
    assert _statuses(findings) == {WARN} and all("CPU path" in finding.what for finding in findings)
    assert _statuses(cuda.run(situation("required"))) == {FAIL}
    libraries = tmp_path / "lib"
    libraries.mkdir()
    (libraries / "libcublasLt.so.12").write_bytes(b"half a download")
    findings = cuda.run(situation("required", LD_LIBRARY_PATH=str(libraries)))
    assert "file too short" in findings[0].what or "invalid ELF header" in findings[0].what


@pytest.mark.parametrize(("check", "name"), [(cuda, "libcublas.so.12"), (cudnn, "libcudnn.so.9")])
def test_library_that_aborts_is_a_sentence_and_not_the_end_of_this_process(
    check: object, name: str, situation: Callable[..., Situation], tmp_path: Path
) -> None:
    _library(tmp_path / "lib", name, _ABORTS)
    findings = check.run(situation("optional", LD_LIBRARY_PATH=str(tmp_path / "lib")))  # type: ignore[attr-defined]
    (crash,) = [finding for finding in findings if "SIGABRT" in finding.what]
    assert crash.status == FAIL and crash.what.startswith(f"{name} kills the process that loads it")


def test_cudnn_needs_its_parts_too(situation: Callable[..., Situation], tmp_path: Path) -> None:
    libraries = tmp_path / "lib"
    _library(libraries, "libcudnn.so.9", _CUDNN)
    for part in ("ops", "graph", "engines_precompiled"):
        _library(libraries, f"libcudnn_{part}.so.9", "int here;")
    whole = situation("required", LD_LIBRARY_PATH=str(libraries))
    (finding,) = cudnn.run(whole)
    assert finding.status == PASS and "libcudnn.so.9 91002" in finding.what
    (libraries / "libcudnn_ops.so.9").unlink()
    findings = cudnn.run(whole)
    assert [finding.status for finding in findings] == [PASS, FAIL]
    assert "libcudnn_ops.so.9 does not load" in findings[1].what and "would abort" in findings[1].what


def test_worker_learns_before_it_loads_cuda_why_it_takes_the_cpu_path(situation: Callable[..., Situation], tmp_path: Path) -> None:
    libraries = tmp_path / "lib"
    environment = dict(situation(LD_LIBRARY_PATH=str(libraries)).environment)
    _library(libraries, "libcublas.so.12", _CUBLAS)
    _library(libraries, "libcublasLt.so.12", _CUBLAS_LT)
    assert "libcudnn.so.9 does not load" in (cuda_problem(environment) or "")
    _library(libraries, "libcudnn.so.9", _CUDNN)
    for part in ("graph", "engines_precompiled"):
        _library(libraries, f"libcudnn_{part}.so.9", "int here;")
    _library(libraries, "libcudnn_ops.so.9", _ABORTS)
    assert "libcudnn_ops.so.9 does not load (SIGABRT)" in (cuda_problem(environment) or "")
    _library(libraries, "libcudnn_ops.so.9", "int here;")
    assert cuda_problem(environment) is None


def test_only_the_retired_cudnn_8_is_named(situation: Callable[..., Situation], tmp_path: Path) -> None:
    _library(tmp_path / "lib", "libcudnn_ops_infer.so.8", "int here;")
    findings = cudnn.run(situation("required", LD_LIBRARY_PATH=str(tmp_path / "lib")))
    assert [finding.status for finding in findings] == [FAIL, FAIL] and "only cuDNN 8" in findings[1].what


def _in_child(check: str, site: Path) -> subprocess.CompletedProcess[str]:
    """Run one check in a process whose imports come from `site` first."""
    environment = {**os.environ, "PYTHONPATH": f"{site}:{Path(__file__).parents[2]}"}
    command = [sys.executable, "-m", "respray.doctor", "--only", check]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_codecs_work_here() -> None:
    findings = codecs.run(Situation({}))
    assert [finding.status for finding in findings[:2]] == [PASS, PASS]
    assert findings[0].what == "Pillow writes and reads JPEG, PNG, WEBP"


def test_pillow_without_its_webp_and_colour_modules_fails(tmp_path: Path) -> None:
    import PIL

    package = Path(PIL.__file__).parent
    shutil.copytree(package, tmp_path / "PIL", ignore=shutil.ignore_patterns("_webp*", "_imagingcms*.so", "__pycache__"))
    libraries = package.parent / "pillow.libs"
    if libraries.is_dir():
        (tmp_path / "pillow.libs").symlink_to(libraries)
    done = _in_child("codecs", tmp_path)
    assert done.returncode == 1
    assert "cannot write and read WEBP" in done.stdout and "no Little CMS" in done.stdout and "--force-reinstall pillow" in done.stdout


def test_opencv_that_cannot_be_imported_fails(tmp_path: Path) -> None:
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    done = _in_child("codecs", tmp_path)
    assert done.returncode == 1 and "libGL.so.1" in done.stdout and "opencv-python-headless" in done.stdout


def test_docker_s_64_megabytes_of_shared_memory_fail(tmp_path: Path) -> None:
    """A real 64 MB /dev/shm, in a mount namespace of its own."""
    doctor = f"cd {Path(__file__).parents[2]} && {sys.executable} -m respray.doctor --only codecs"
    script = f"mount -t tmpfs -o size=64m tmpfs /dev/shm && {doctor}"
    command = ["unshare", "--mount", "sh", "-c", script]
    if shutil.which("unshare") is None or subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a mount namespace")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "/dev/shm: 64 MiB" in done.stdout and "--shm-size=2g" in done.stdout


def test_shared_memory_that_is_not_there_fails(tmp_path: Path) -> None:
    finding = codecs.run(Situation({}, shared_memory=tmp_path / "none"))[-1]
    assert finding.status == FAIL and "does not exist" in finding.what
