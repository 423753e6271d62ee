"""The embedded server's files: found in the `nvidia-pytriton` wheel, completed in a cache folder, checked for missing libraries.

The wheel holds the real `tritonserver` binary, its Python backend and its response cache, and one backend stub per Python version. Only
the backend folder has to be put together (the stub of the running Python belongs beside the backend's library); everything else is used
where it lies.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from respray.triton.errors import HostError
from respray.triton.hardening import server_environment

WHEEL = "nvidia-pytriton"
STUB = "triton_python_backend_stub"
DEBIAN_PACKAGES = {
    "libz.so": "zlib1g",
    "libstdc++.so": "libstdc++6",
    "libgcc_s.so": "libgcc-s1",
    "libm.so": "libc6",
    "libexpat.so": "libexpat1",
}


@dataclass(frozen=True)
class ServerFiles:
    """Where the embedded server's parts lie; `library_path` is searched in order."""

    binary: Path
    backends: Path
    caches: Path
    library_path: tuple[Path, ...]

    def environment(self) -> dict[str, str]:
        """The server's environment: what it may inherit, with the library path, and with this interpreter first on PATH.

        The stubs embed an isolated Python: it ignores PYTHONPATH and PYTHONHOME, but like any Python it looks for `python3` on PATH to
        learn which virtual environment it belongs to, and finds its packages there.
        """
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        return {**server_environment(os.environ), "PATH": path, "LD_LIBRARY_PATH": os.pathsep.join(map(str, self.library_path))}


def cache_folder() -> Path:
    """The folder of this user in which prepared server files and server logs are kept."""
    return Path(platformdirs.user_cache_path("respray"))


def make_folder(path: Path) -> Path:
    """A folder in the cache, made where it is missing. HostError where the cache cannot be written."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        why = f"{path}, where the embedded server keeps its files, cannot be written ({error.strerror})"
        raise HostError(f"{why}; set XDG_CACHE_HOME to a folder that can, such as /tmp/cache") from None
    return path


def prepare(cache: Path | None = None) -> ServerFiles:
    """Find or build the server's files for the running Python. Safe when several processes do it at once; later calls reuse the result.

    Raises:
        HostError: the wheel, this Python's stub, a shared libpython or any other library is missing, or the cache cannot be written.
    """
    server, libraries = wheel_folders()
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / STUB
    if not stub.is_file():
        offered = sorted(entry.name for entry in stub.parent.parent.iterdir()) if stub.parent.parent.is_dir() else []
        raise HostError(f"{WHEEL} has no Python backend for Python {version}; it has one for {', '.join(offered) or 'none'}.")
    libpython = find_libpython()
    home = (cache or cache_folder()) / "embedded" / _key(server, stub, libpython)
    if not home.is_dir():
        _assemble(home, server, stub, libpython, libraries)
    files = ServerFiles(
        binary=server / "bin" / "tritonserver",
        backends=home / "backends",
        caches=server / "caches",
        library_path=(home / "lib", libraries, libpython.parent),
    )
    for program in (files.binary, files.backends / "python" / STUB):
        _check_libraries(program, files)
    return files


def wheel_folders() -> tuple[Path, Path]:
    """The wheel's server folder and library folder, without importing the wheel's Python code (which starts loggers and clients)."""
    found = importlib.util.find_spec("pytriton")
    if found is None or not found.submodule_search_locations:
        # Its metadata asks for NumPy 1, which has no wheel for Python 3.13; its server needs none of its dependencies.
        install = f"pip install --no-deps {WHEEL}==0.7.0" if sys.version_info >= (3, 13) else "pip install 'respray[embedded]'"
        raise HostError(f"The embedded server is not installed: {WHEEL} is missing. Install it with: {install}")
    package = Path(next(iter(found.submodule_search_locations)))
    server, libraries = package / "tritonserver", package.parent / "nvidia_pytriton.libs"
    for needed in (server / "bin" / "tritonserver", server / "backends" / "python", server / "caches", libraries):
        if not needed.exists():
            raise HostError(f"{WHEEL} is damaged: {needed} is missing. Reinstall it with: pip install --force-reinstall --no-deps {WHEEL}")
    return server, libraries


def find_libpython() -> Path:
    """The running interpreter's shared library, which the Python backend links against. HostError names the package that brings it."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"libpython{version}.so.1.0"
    variables = [sysconfig.get_config_var(key) for key in ("LIBDIR", "LIBPL")]
    folders = [Path(value) for value in variables if value] + [Path(sys.base_prefix) / "lib"]
    multiarch = sysconfig.get_config_var("MULTIARCH")
    folders += [folder / multiarch for folder in folders if multiarch]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    listed = ", ".join(dict.fromkeys(map(str, folders)))
    raise HostError(
        f"The embedded server needs Python's shared library {name}, which is in none of {listed}. "
        f"On Debian and Ubuntu: apt-get install libpython{version}. A Python of pyenv needs PYTHON_CONFIGURE_OPTS=--enable-shared."
    )


def _key(server: Path, stub: Path, libpython: Path) -> str:
    """A folder name that changes with everything the assembled files depend on."""
    parts = [importlib.metadata.version(WHEEL), str(server), str(stub), str(libpython), str(stub.stat().st_mtime_ns)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _assemble(home: Path, server: Path, stub: Path, libpython: Path, libraries: Path) -> None:
    """Put the backend folder together beside its final place and rename it, so that no one ever sees half of it."""
    staging = Path(tempfile.mkdtemp(prefix=".staging-", dir=make_folder(home.parent)))
    try:
        shutil.copytree(server / "backends", staging / "backends", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy2(stub, staging / "backends" / "python" / STUB)
        (staging / "backends" / "python" / STUB).chmod(0o755)
        (staging / "lib").mkdir()
        # The wheel's stub for some Pythons asks for a libpython that was renamed when the wheel was made and comes without a standard
        # library; the running interpreter's own must answer to that name.
        for bundled in libraries.glob(f"libpython3-*.{sys.version_info.minor}.so.1.0"):
            (staging / "lib" / bundled.name).symlink_to(libpython)
        try:
            staging.rename(home)
        except OSError:
            if not home.is_dir():
                raise
    except (OSError, shutil.Error) as error:
        raise HostError(f"the embedded server's files could not be put together in {home.parent}: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _check_libraries(program: Path, files: ServerFiles) -> None:
    """Let the dynamic linker list what the program needs (it does not run it) and name what is missing."""
    if not os.access(program, os.X_OK):
        raise HostError(f"{program} cannot be executed; check its permissions and that its file system is not mounted noexec.")
    environment = {**files.environment(), "LD_TRACE_LOADED_OBJECTS": "1"}
    listed = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    missing = [line.split()[0] for line in listed.stdout.splitlines() if "not found" in line]
    if missing:
        advice = ", ".join(f"{name} ({_advice(name)})" for name in dict.fromkeys(missing))
        raise HostError(f"{program.name} cannot start, libraries are missing: {advice}.")
    if listed.returncode != 0:
        raise HostError(f"{program.name} cannot be loaded on this machine: {(listed.stderr or listed.stdout).strip()[-500:]}")


def _advice(library: str) -> str:
    """Where a missing library comes from."""
    if library.startswith("libpython"):
        return f"apt-get install libpython{sys.version_info.major}.{sys.version_info.minor}"
    for prefix, package in DEBIAN_PACKAGES.items():
        if library.startswith(prefix):
            return f"apt-get install {package}"
    return f"reinstall {WHEEL}"
