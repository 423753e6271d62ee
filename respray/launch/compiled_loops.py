"""Compiled pixel loops come along with the image: an applier that has to compile them first starts 13 to 15 s later.

    python3 -m respray.launch.compiled_loops      at the image's build, with NUMBA_CACHE_DIR and NUMBA_CPU_NAME set

Numba's cache knows the processor that it was compiled for, so image and container name one: x86-64-v3 (AVX2; Intel since 2013, AMD since
2015). On an older one nothing is taken over, and the loops are compiled as ever. Numba uses no folder that it cannot write, so that a
container with a read-only root file system gets a copy in its temporary folder, in a part of it that nobody else may write to: the cache
holds pickles and machine code, which run as whoever loads them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from respray.triton.private_files import private_folder

# Set by the Dockerfiles: where an image keeps what it has compiled.
BAKED = "RESPRAY_COMPILED_LOOPS"
# What tells x86-64-v3 from v2, by the names of /proc/cpuinfo: https://gitlab.com/x86-psABIs/x86-64-ABI (micro-architecture levels).
NEEDED = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"})


def take_over(environment: Mapping[str, str], cpuinfo: Path = Path("/proc/cpuinfo")) -> dict[str, str | None]:
    """Copy the image's compiled loops to where they can be used.

    Returns:
        Variables to set for everything that is started from here; None: to remove.

    Raises:
        HostError: The temporary folder has one of our name that is somebody else's.
    """
    baked = Path(environment.get(BAKED, ""))
    if not environment.get(BAKED) or not baked.is_dir():
        return {}
    if not _flags(cpuinfo) >= NEEDED:
        return {"NUMBA_CPU_NAME": None, "NUMBA_CPU_FEATURES": None}
    copy = private_folder() / "compiled-loops"
    shutil.copytree(baked, copy, dirs_exist_ok=True, copy_function=shutil.copyfile)
    return {"NUMBA_CACHE_DIR": str(copy)}


def use(environment: MutableMapping[str, str]) -> None:
    """Let everything that is started with this environment use the image's compiled loops."""
    for name, value in take_over(environment).items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value


def _flags(cpuinfo: Path) -> set[str]:
    """What the first processor can do."""
    try:
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("flags"):
                return set(line.partition(":")[2].split())
    except OSError:
        pass
    return set()


def main() -> None:
    """Compile what edits need, into NUMBA_CACHE_DIR."""
    from respray.triton.models.applier import warm_up

    warm_up()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    count = sum(1 for _ in folder.rglob("*.nbc"))
    if not count:
        raise SystemExit(f"nothing was compiled into NUMBA_CACHE_DIR={folder}")
    print(f"{count} compiled loops in {folder}")


if __name__ == "__main__":
    main()
