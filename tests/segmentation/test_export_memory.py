"""An export that the kernel would kill is refused before it begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from respray.segmentation.export.memory import ExportMemoryError, available, check_memory

SAM3 = 3_440_000_000


def _machine(folder: Path, free_gb: float, limit: str | None = None) -> dict[str, Path]:
    (folder / "proc").mkdir(exist_ok=True)
    (folder / "proc" / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable:   {int(free_gb * 1e9 / 1024)} kB\n")
    cgroups = folder / "cgroups"
    cgroups.mkdir(exist_ok=True)
    if limit is not None:
        (cgroups / "memory.max").write_text(limit)
        (cgroups / "memory.current").write_text("1000000000\n")
    return {"proc": folder / "proc", "cgroups": cgroups}


def test_sam3_in_half_precision_wants_32_gigabytes(tmp_path: Path) -> None:
    with pytest.raises(ExportMemoryError, match=r"in FP16 needs about 32 GB of memory, and 24\.0 GB are free here"):
        check_memory(SAM3, half=True, **_machine(tmp_path, 24))
    check_memory(SAM3, half=True, **_machine(tmp_path, 40))
    check_memory(SAM3, half=False, **_machine(tmp_path, 12))


def test_the_container_s_limit_counts_and_small_models_fit_everywhere(tmp_path: Path) -> None:
    machine = _machine(tmp_path, 64, limit="17000000000\n")
    assert available(**machine) == 16_000_000_000
    with pytest.raises(ExportMemoryError, match=r"16\.0 GB are free"):
        check_memory(SAM3, half=True, **machine)
    check_memory(30_000_000, half=True, **_machine(tmp_path, 1))
    machine = _machine(tmp_path, 64, limit="max\n")
    check_memory(SAM3, half=True, **machine)
    assert available(tmp_path / "none", tmp_path / "none") is None
