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
        (cgroups / "memory.current").write_text("3000000000\n")
        (cgroups / "memory.stat").write_text("anon 900000000\ninactive_file 2000000000\nactive_file 100000000\n")
    return {"proc": folder / "proc", "cgroups": cgroups}


def test_sam3_in_half_precision_wants_a_machine_of_16_gigabytes(tmp_path: Path) -> None:
    with pytest.raises(ExportMemoryError, match=r"in FP16 needs about 14 GB of memory, and 12\.0 GB are free here"):
        check_memory(SAM3, half=True, **_machine(tmp_path, 12))
    check_memory(SAM3, half=True, **_machine(tmp_path, 15))
    check_memory(SAM3, half=False, **_machine(tmp_path, 12))


def test_the_container_s_limit_counts_and_small_models_fit_everywhere(tmp_path: Path) -> None:
    machine = _machine(tmp_path, 64, limit="13000000000\n")
    assert available(**machine) == 12_000_000_000, "what was read from files can be dropped"
    with pytest.raises(ExportMemoryError, match=r"12\.0 GB are free"):
        check_memory(SAM3, half=True, **machine)
    check_memory(30_000_000, half=True, **_machine(tmp_path, 1))
    machine = _machine(tmp_path, 64, limit="max\n")
    check_memory(SAM3, half=True, **machine)
    assert available(tmp_path / "none", tmp_path / "none") is None
