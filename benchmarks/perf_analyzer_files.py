"""Unpack perf_analyzer out of the downloaded wheel and put its two libraries beside it.

python -m benchmarks.perf_analyzer_files FOLDER
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from respray.triton.embedded.server_files import wheel_folders

MEMBER = "tritonclient-2.50.0.data/data/bin/perf_analyzer"
# The names that perf_analyzer was linked with, and the start of the names under which the nvidia-pytriton wheel ships them.
LIBRARIES = {"libb64.so.0d": "libb64-", "libcudart.so.12": "libcudart-"}


def unpack(folder: Path) -> Path:
    """`folder` holds the wheel; afterwards also `bin/perf_analyzer` and `lib/`. Returns the binary."""
    wheel = next(folder.glob("tritonclient-2.50.0-*.whl"))
    binary = folder / "bin" / "perf_analyzer"
    binary.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        binary.write_bytes(archive.read(MEMBER))
    wheel.unlink()
    libraries = folder / "lib"
    libraries.mkdir(exist_ok=True)
    _, shipped = wheel_folders()
    for name, start in LIBRARIES.items():
        (libraries / name).unlink(missing_ok=True)
        (libraries / name).symlink_to(next(file for file in shipped.iterdir() if file.name.startswith(start)))
    binary.chmod(0o755)
    return binary


if __name__ == "__main__":
    print(unpack(Path(sys.argv[1])))
