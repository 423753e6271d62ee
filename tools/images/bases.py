"""Stand-ins for the images' bases, where no registry can be reached: Debian by debootstrap, a Python 3.12, the wheel's tritonserver.

`docker.io/library/python:3.12-slim-bookworm` becomes Debian 12 with a Python 3.12 of this machine in
/usr/local; `nvcr.io/nvidia/tritonserver:VERSION-py3` the same with the tritonserver of the `nvidia-pytriton` wheel, an `nvidia-smi` that
reports one GPU, and an entry point where NVIDIA's is. What they cannot show stands in docs/runpod.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.images.commands import podman, run

MIRROR = "http://deb.debian.org/debian"
# What a Python built from source links against, and the embedded server.
PACKAGES = (
    "ca-certificates,libssl3,libffi8,zlib1g,libbz2-1.0,liblzma5,libsqlite3-0,libreadline8,libncursesw6,libexpat1,libuuid1,libb64-0d,procps"
)
PYTHON_IMAGE = "docker.io/library/python:3.12-slim-bookworm"
# What NVIDIA's image starts through; it prints that it was there, and goes on as theirs does.
ENTRYPOINT = '#!/bin/bash\necho "stand-in of nvidia_entrypoint.sh" >&2\nexec "$@"\n'
SMI = "#!/bin/sh\necho '0, GPU-5a1e0000, NVIDIA L4, 8.9'\n"
TRITON = """#!/usr/local/bin/python3
import os, sys
from respray.triton.embedded import server_files
files = server_files.prepare()
os.environ["LD_LIBRARY_PATH"] = os.pathsep.join(map(str, files.library_path))
flags = [f"--backend-directory={files.backends}", f"--cache-directory={files.caches}"]
os.execv(files.binary, [str(files.binary), *flags, *sys.argv[1:]])
"""


def find_python() -> Path:
    """The installation of a Python 3.12 with a shared library on this machine (its prefix).

    Raises:
        SystemExit: there is none.
    """
    candidates = [
        os.environ.get("STANDIN_PYTHON", ""),
        shutil.which("python3.12") or "",
        *map(str, Path.home().glob(".pyenv/versions/3.12*/bin/python3.12")),
    ]
    for candidate in filter(None, candidates):
        ask = "import sys, sysconfig; print(sys.base_prefix if sysconfig.get_config_var('Py_ENABLE_SHARED') else '')"
        done = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, check=False)
        if done.returncode == 0 and (prefix := done.stdout.strip()) not in ("", "/usr"):
            return Path(prefix)
    raise SystemExit(
        "no Python 3.12 with a shared library outside /usr was found; set STANDIN_PYTHON to one "
        "(pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared)"
    )


def make_bases(work: Path, triton_image: str) -> None:
    """Import both stand-ins under the names that the Dockerfiles ask for; those that are there are kept."""
    if not podman("image", "exists", PYTHON_IMAGE, check=False):
        root = work / "rootfs"
        if not (root / "usr" / "bin" / "apt-get").exists():
            run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root), MIRROR])
        run(["cp", "-a", f"{find_python()}/.", f"{root}/usr/local/"])
        _trust(root)
        _keep_prefix(root, find_python())
        for name, target in (("python3", "python3.12"), ("python", "python3.12")):
            link = root / "usr" / "local" / "bin" / name
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        run(["chroot", str(root), "ldconfig"])
        _import(root, PYTHON_IMAGE)
    if not podman("image", "exists", triton_image, check=False):
        context = work / "triton"
        context.mkdir(exist_ok=True)
        for name, text in (("nvidia_entrypoint.sh", ENTRYPOINT), ("nvidia-smi", SMI), ("tritonserver", TRITON)):
            (context / name).write_text(text)
            (context / name).chmod(0o755)
        (context / "Dockerfile").write_text(
            f"FROM {PYTHON_IMAGE}\n"
            "RUN python3 -m pip install --quiet --no-cache-dir --no-deps nvidia-pytriton==0.7.0"
            " && python3 -m pip install --quiet --no-cache-dir 'numpy<2' 'opencv-python-headless==4.11.0.86' 'onnxruntime>=1.22,<2'\n"
            "COPY nvidia-smi tritonserver /usr/local/bin/\n"
            "COPY nvidia_entrypoint.sh /opt/nvidia/nvidia_entrypoint.sh\n"
        )
        build(context / "Dockerfile", context, triton_image)


def make_services(work: Path, names: Sequence[str]) -> None:
    """One image with Redis and the S3 stand-in, under the names that the CPU overlay asks for."""
    context = work / "services"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(
        f"FROM {PYTHON_IMAGE}\n"
        "RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server"
        " && python3 -m pip install --quiet --no-cache-dir 'moto[server]>=5.1,<6'\n"
    )
    build(context / "Dockerfile", context, names[0])
    for name in names[1:]:
        podman("tag", names[0], name)


def build(dockerfile: Path, context: Path, name: str, *arguments: str) -> None:
    """`buildah bud`: no Docker engine, no privileges beyond a chroot."""
    run(
        [
            "buildah",
            "bud",
            "--isolation",
            "chroot",
            "--network",
            "host",
            "--format",
            "docker",
            "--pull-never",
            *arguments,
            "--tag",
            name,
            "--file",
            str(dockerfile),
            str(context),
        ]
    )


def _keep_prefix(root: Path, prefix: Path) -> None:
    """A Python that was built for `prefix` looks for its shared library there, as any user."""
    link = root / prefix.relative_to("/")
    link.parent.mkdir(parents=True, exist_ok=True)
    for folder in (root / part.relative_to("/") for part in prefix.parents if part != Path("/")):
        folder.chmod(0o755)
    link.unlink(missing_ok=True)
    link.symlink_to("/usr/local")


def _trust(root: Path) -> None:
    """The machine's own certificates and package index, which a network with a proxy needs."""
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / "etc" / "ssl" / "certs" / "ca-certificates.crt")
    if Path("/etc/pip.conf").is_file():
        shutil.copy("/etc/pip.conf", root / "etc" / "pip.conf")
    shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")


def _import(root: Path, name: str) -> None:
    """A folder as an image of one layer."""
    archive = root.with_suffix(".tar")
    run(["tar", "-C", str(root), "-cf", str(archive), "."])
    run(["podman", "import", "--change", "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", str(archive), name])
    archive.unlink()
