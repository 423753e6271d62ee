"""What is carried to a GPU machine arrives whole: pieces, checksums, the environment, and CUDA code of one architecture."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tools.gpu_carry.__main__ import THERE, carried, pack, sequence, unmet
from tools.gpu_carry.fatbin import CUBIN, REGION, keep_architecture

UNPACK = Path(__file__).resolve().parents[2] / "tools" / "gpu_carry" / "unpack.py"
PTX = 1


def entry(kind: int, architecture: int, payload: bytes) -> bytes:
    """One architecture's code."""
    header = struct.pack("<HHIQ", kind, 0x101, 64, len(payload)).ljust(28, b"\0") + struct.pack("<I", architecture)
    return header.ljust(64, b"\1") + payload


def library(path: Path, *entries: bytes) -> Path:
    """A 64-bit ELF file with a section of such code."""
    code = b"".join(entries)
    region = struct.pack("<IHHQ", REGION, 1, 16, len(code)) + code
    region += bytes(-len(region) % 8)
    names = b"\0.nv_fatbin\0.names\0"
    start = 64
    strings = start + len(region)
    table = strings + len(names)
    sections = [(0, 0, 0, 0, 0, 0), (1, 1, 0, 0, start, len(region)), (12, 3, 0, 0, strings, len(names))]
    headers = b"".join(struct.pack("<IIQQQQ", *section).ljust(64, b"\0") for section in sections)
    elf = b"\x7fELF\x02".ljust(40, b"\0") + struct.pack("<Q", table) + b"\0" * 10 + struct.pack("<HHH", 64, len(sections), 2)
    path.write_bytes(elf + region + names + headers)
    return path


def test_only_one_architectures_code_is_left(tmp_path: Path) -> None:
    kept, gone, source = b"kept" * 100, b"gone" * 100, b"text" * 10
    path = library(tmp_path / "provider.so", entry(CUBIN, 80, gone), entry(CUBIN, 90, kept), entry(PTX, 80, source))
    before = path.stat().st_size
    assert keep_architecture(path, 90) == {80: 400, 90: 400}
    content = path.read_bytes()
    assert len(content) == before and kept in content and source in content and b"gone" not in content
    with pytest.raises(ValueError, match="no code for sm_70; it has sm_80, sm_90"):
        keep_architecture(path, 70)
    assert path.read_bytes() == content


def unpack(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(UNPACK), *words], capture_output=True, text=True, check=False)


def test_pieces_arrive_whole_and_become_an_environment(tmp_path: Path) -> None:
    packages = tmp_path / "staging" / "site-packages"
    packages.mkdir(parents=True)
    (packages / "carried_module.py").write_text("WORD = 'here'\n")
    (packages / "noise").write_bytes(bytes(range(256)) * 20)
    pieces = pack(tmp_path / "staging", tmp_path / "out", 300)
    assert len(pieces) > 1 and all((folder / f"piece-{index:02d}").stat().st_size <= 300 for index, folder in enumerate(pieces))
    home = str(tmp_path / "home")
    for folder in pieces[:-1]:
        assert unpack("keep", str(folder), home).returncode == 0
    early = unpack("install", home)
    assert early.returncode == 1 and f"piece-{len(pieces) - 1:02d} are not here" in early.stderr
    assert f"{len(pieces)} of {len(pieces)} pieces are here" in unpack("keep", str(pieces[-1]), home).stdout
    done = unpack("install", home)
    assert done.returncode == 0, done.stderr
    code = "import carried_module, numpy, respray; print(carried_module.WORD)"
    run = subprocess.run([done.stdout.split()[-1], "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "here", run.stderr


def test_a_damaged_piece_is_refused(tmp_path: Path) -> None:
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "file").write_text("x")
    piece = pack(tmp_path / "staging", tmp_path / "out", 1 << 20)[0]
    (piece / "piece-00").write_bytes(b"other")
    refused = unpack("keep", str(piece), str(tmp_path / "home"))
    assert refused.returncode == 1 and "was damaged on its way" in refused.stderr


def distribution(folder: Path, name: str, *needs: str) -> None:
    """An installed package that says what it needs."""
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "\n".join(["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {n}" for n in needs)])
    )


def test_all_that_the_project_asks_for_is_carried_or_there(tmp_path: Path) -> None:
    """A list written by hand once missed the PNG encoder, and the server did not start on the machine."""
    names = {re.split(r"[\[<>=; ]", line)[0] for line in carried()}
    project = tomllib.loads((UNPACK.parents[2] / "pyproject.toml").read_text())["project"]
    asked = {re.split(r"[\[<>=; ]", line)[0] for line in [*project["dependencies"], *project["optional-dependencies"]["server"]]}
    assert "isal" in names and asked <= names | THERE and not names & THERE
    distribution(tmp_path, "one", "Two>=1", "numpy", "three; extra == 'more'", "four; python_version < '3.9'", "five_six")
    distribution(tmp_path, "two")
    distribution(tmp_path, "nvidia-pytriton", "sh")
    assert unmet(tmp_path) == ["five_six (for one)"]


def test_the_calls_fit_the_tool_that_makes_them() -> None:
    calls = sequence(5, ".gpu").splitlines()
    assert len(calls) == 5 and all(f"carry .gpu/{index:02d}," in call for index, call in enumerate(calls))
    assert all(len(call) < 2000 for call in calls) and "benchmarks.gpu_server" in calls[-1]
