"""Prepare the pieces: download wheels, leave out what is not used, pack, split.

    python -m tools.gpu_carry --python /usr/bin/python3.12

Each piece is a folder `.gpu/00`, `.gpu/01`, ... for one call that carries it; `.gpu/sequence.txt` has the calls.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.gpu_carry.fatbin import keep_architecture

REPOSITORY = Path(__file__).resolve().parents[2]
MEBIBYTE = 1 << 20
PYTHON = "3.12"
# Of what this project and these wheels ask for, what the lent machines' image has (their notes list its packages). The rest is carried.
THERE = frozenset((
    "certifi", "flatbuffers", "httpx", "jinja2", "numba", "numpy", "opencv-python-headless", "packaging", "pillow", "prometheus-client",
    "psutil", "python-dateutil", "pyyaml", "rich", "six", "tokenizers", "typer", "typing-extensions", "urllib3", "wrapt",
))  # fmt: skip
# ONNX Runtime for CUDA 13, the server, and what the carried wheels need themselves: `unmet` tells when one is missing here.
WHEELS = (
    "onnxruntime-gpu>=1.31,<1.32", "nvidia-pytriton==0.7.0", "python-rapidjson", "botocore", "jmespath", "s3transfer", "pydantic-core",
    "annotated-types", "typing-inspection", "deprecated", "grpcio>=1.81.1", "protobuf>=6.33.5,<7", "ml-dtypes<=0.5.4",
)  # fmt: skip
# Only its server's files are used.
WITHOUT_NEEDS = "nvidia-pytriton"
# Parts of these wheels that nothing here uses: the shared library of another Python, converters, the TensorRT provider.
UNUSED = (
    "nvidia_pytriton.libs/libpython3-*", "onnxruntime/transformers", "onnxruntime/tools", "onnxruntime/quantization",
    "onnxruntime/capi/libonnxruntime_providers_tensorrt.so", "botocore/data/[!s]*", "botocore/data/s[!3t]*", "boto3/examples", "bin",
)  # fmt: skip
CUDA_PROVIDER = "onnxruntime/capi/libonnxruntime_providers_cuda.so"


def main(
    out: Annotated[Path, typer.Option(help="Folder of the pieces, which git ignores.")] = REPOSITORY / ".gpu",
    architecture: Annotated[int, typer.Option(help="Keep machine code of this GPU only (90: H100, H200); 0 keeps all.")] = 90,
    limit_mib: Annotated[int, typer.Option(help="What one call may carry, the working tree included.")] = 60,
    libpython: Annotated[Path | None, typer.Option(help="A libpython3.12.so.1.0 for a machine that has none.")] = None,
) -> None:
    """Download, thin, pack and split; print the calls."""
    room = limit_mib * MEBIBYTE - _tree_bytes()
    if room < 8 * MEBIBYTE:
        sys.exit(f"error: the working tree leaves {room / MEBIBYTE:.0f} MiB of {limit_mib} for a piece")
    staging = out / "staging"
    shutil.rmtree(out, ignore_errors=True)
    packages = staging / "site-packages"
    _download(staging / "wheels", packages)
    if lacking := unmet(packages):
        sys.exit(f"error: neither carried nor there: {', '.join(lacking)}; add them to WHEELS, or to THERE where the machines have them")
    if architecture:
        there = keep_architecture(packages / CUDA_PROVIDER, architecture)
        print("code by architecture: " + ", ".join(f"sm_{one} {size / MEBIBYTE:.0f} MiB" for one, size in sorted(there.items())))
    if libpython is not None:
        (staging / "lib").mkdir()
        shutil.copyfile(libpython, staging / "lib" / f"libpython{PYTHON}.so.1.0")
    pieces = pack(staging, out, room)
    shutil.rmtree(staging)
    calls = sequence(len(pieces), out.name)
    (out / "sequence.txt").write_text(calls, encoding="utf-8")
    print(calls)


def _tree_bytes() -> int:
    """What travels with every call: tracked files, and new ones that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    files = [REPOSITORY / name for name in listed.stdout.split("\0") if name]
    return sum(file.stat().st_size for file in files if file.is_file() and not file.is_symlink())


def carried() -> list[str]:
    """Requirements of the wheels to carry: what the project and its Python models ask for, without what is there, and `WHEELS`."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["server"]]
    return [line for line in asked if canonicalize_name(Requirement(line).name) not in THERE] + list(WHEELS)


def unmet(packages: Path) -> list[str]:
    """What the carried packages need and nobody has, by their own metadata."""
    found = {canonicalize_name(one.name): one for one in metadata.distributions(path=[str(packages)])}
    there = {"extra": "", "python_version": PYTHON, "python_full_version": f"{PYTHON}.3"}
    lacking = set()
    for name, one in found.items():
        for line in one.requires or () if name != WITHOUT_NEEDS else ():
            need = Requirement(line)
            wanted = need.marker is None or need.marker.evaluate(there)
            if wanted and not {canonicalize_name(need.name)} & (found.keys() | THERE):
                lacking.add(f"{need.name} (for {name})")
    return sorted(lacking)


def _download(wheels: Path, packages: Path) -> None:
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in range(17, 40)] + ["manylinux2014_x86_64", "manylinux1_x86_64"]
    for_there = ["--only-binary=:all:", "--python-version", PYTHON, "--implementation", "cp"]
    for_there += [word for name in platforms for word in ("--platform", name)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "download", "--no-deps", *for_there, "-d", str(wheels), *carried()], check=True)
    found = sorted(map(str, wheels.glob("*.whl")))
    # This Python only unpacks them: it may be another than the one that they are for.
    install = [*pip, "install", "--no-deps", "--no-index", "--no-compile", "--ignore-requires-python", *for_there]
    subprocess.run([*install, "--target", str(packages), *found], check=True)
    shutil.rmtree(wheels)
    for pattern in UNUSED:
        for path in packages.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def pack(staging: Path, out: Path, room: int) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    whole = out / "whole.tar.xz"
    with tarfile.open(whole, "w:xz", preset=6) as archive:
        for entry in sorted(staging.iterdir()):
            archive.add(entry, entry.name)
    content = whole.read_bytes()
    whole.unlink()
    digest, count = hashlib.sha256(content).hexdigest(), -(-len(content) // room)
    size = -(-len(content) // count)
    print(f"{len(content) / MEBIBYTE:.0f} MiB in {count} pieces of {size / MEBIBYTE:.1f} MiB")
    pieces = []
    for index in range(count):
        folder, part = out / f"{index:02d}", content[index * size : (index + 1) * size]
        folder.mkdir(parents=True)
        name = f"piece-{index:02d}"
        (folder / name).write_bytes(part)
        manifest = {"piece": name, "sha256": hashlib.sha256(part).hexdigest(), "count": count, "whole": digest}
        (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        pieces.append(folder)
    return pieces


def sequence(count: int, name: str) -> str:
    """The calls of the device tool, one a line: what each carries, its limit in seconds, and its command."""
    keep = [f"carry {name}/{index:02d}, timeout_s 60: python3 tools/gpu_carry/unpack.py keep {name}/{index:02d}" for index in range(count)]
    last = (
        f"{keep.pop()} && python3 tools/gpu_carry/unpack.py install && cd /tmp && "
        "/tmp/gpu/venv/bin/python -m benchmarks.gpu_server --out /tmp/gpu/out --json $OUT/report.json --budget-s 520; "
        "tar czf $OUT/logs.tgz -C /tmp/gpu/out --exclude graphs --exclude repository --exclude 'job-*' ."
    ).replace("timeout_s 60", "timeout_s 595")
    return "\n".join([*keep, last]) + "\n"


if __name__ == "__main__":
    typer.run(main)
