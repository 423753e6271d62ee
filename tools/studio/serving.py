"""`respray studio` as a process, for as long as a block takes."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

RESPRAY = str(Path(sys.executable).parent / "respray")


@contextlib.contextmanager
def studio(triton_url: str | None = None) -> Iterator[str]:
    """The address of a studio on a store of its own. Raises RuntimeError with what it says where it does not start."""
    with tempfile.TemporaryDirectory(prefix="respray-studio-") as folder:
        command = [RESPRAY, "studio", "--no-browser", "--listen", "127.0.0.1:0", "--store", folder]
        command += ["--triton-url", triton_url] if triton_url else []
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        said = []
        try:
            for line in process.stderr:
                said.append(line)
                if found := re.search(r"The studio is at (\S+/studio)", line):
                    yield found[1]
                    return
            raise RuntimeError("".join(said[-5:]))
        finally:
            process.terminate()
            process.communicate()
