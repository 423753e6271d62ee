"""On the GPU machine, with its own Python and nothing else: keep a piece, or put all of them together and make an environment.

python3 tools/gpu_carry/unpack.py keep .gpu/00
python3 tools/gpu_carry/unpack.py install
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

HOME = Path("/tmp/gpu")
REPOSITORY = Path(__file__).resolve().parents[2]


def keep(folder: Path, home: Path) -> None:
    """Copy a piece to where it outlives this call, checked."""
    home.mkdir(parents=True, exist_ok=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    piece = folder / manifest["piece"]
    if hashlib.sha256(piece.read_bytes()).hexdigest() != manifest["sha256"]:
        raise SystemExit(f"error: {piece} was damaged on its way; carry it again")
    shutil.copyfile(piece, home / piece.name)
    (home / "manifest.json").write_text(json.dumps(manifest))
    there = sorted(path.name for path in home.glob("piece-*"))
    print(f"{len(there)} of {manifest['count']} pieces are here: {', '.join(there)}")


def install(home: Path) -> Path:
    """Join the pieces, check the whole, unpack it, and make a virtual environment that sees it before this Python's own packages."""
    manifest = json.loads((home / "manifest.json").read_text())
    pieces = [home / f"piece-{index:02d}" for index in range(manifest["count"])]
    if missing := [piece.name for piece in pieces if not piece.is_file()]:
        raise SystemExit(f"error: {', '.join(missing)} are not here; carry them first")
    whole, digest = home / "site.tar.xz", hashlib.sha256()
    with whole.open("wb") as file:
        for piece in pieces:
            content = piece.read_bytes()
            digest.update(content)
            file.write(content)
    if digest.hexdigest() != manifest["whole"]:
        raise SystemExit("error: the pieces do not make the whole; they are of different preparations")
    with tarfile.open(whole) as archive:
        # Debian 12's Python, 3.11.2, has no filters (https://docs.python.org/3/library/tarfile.html#supporting-older-python-versions).
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(home)
    whole.unlink()
    packages = home / "site-packages"
    own = [Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]
    for folder in own:
        # CUDA's libraries are looked for beside ONNX Runtime.
        if (folder / "nvidia").is_dir() and not (packages / "nvidia").exists():
            (packages / "nvidia").symlink_to(folder / "nvidia")
    environment = home / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    paths = [str(REPOSITORY), str(packages), *map(str, own)]
    (environment / "lib" / version / "site-packages" / "carried.pth").write_text("\n".join(paths) + "\n")
    _find_libpython(home)
    return environment / "bin" / "python"


def _find_libpython(home: Path) -> None:
    """Say where Python's shared library is, which Triton's Python backend links against; take the carried one where there is none."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    folders = [Path(str(sysconfig.get_config_var("LIBDIR") or "/usr/lib")), Path(sys.base_prefix) / "lib"]
    folders += [folder / str(sysconfig.get_config_var("MULTIARCH")) for folder in list(folders)]
    found = [folder / name for folder in folders if (folder / name).is_file()]
    carried = home / "lib" / name
    if not found and carried.is_file():
        folders[0].mkdir(parents=True, exist_ok=True)
        found = [Path(shutil.copyfile(carried, folders[0] / name))]
    print(f"{name}: {found[0] if found else 'nowhere, so there is no server'}")


def main(words: list[str]) -> None:
    """`keep FOLDER` or `install`, and the folder that holds everything as a last word where it is another."""
    if words[:1] == ["keep"] and len(words) in (2, 3):
        keep(Path(words[1]), Path(words[2]) if len(words) == 3 else HOME)
    elif words[:1] == ["install"] and len(words) in (1, 2):
        print(install(Path(words[1]) if len(words) == 2 else HOME))
    else:
        raise SystemExit(f"error: {' '.join(words)!r}: keep FOLDER [HOME] or install [HOME]")


if __name__ == "__main__":
    main(sys.argv[1:])
