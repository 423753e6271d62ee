"""The report in a screenful."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def summary(report: dict[str, Any]) -> str:
    """What each step found, in lines."""
    return "\n".join(_lines(report))


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['checkpoint']} on {report['device']}, {report['seconds']:g} s"
    if "fallback" in report:
        yield report["fallback"]
    for name, entry in report["steps"].items():
        figures = entry.get("figures", {})
        yield f"{name} ({entry['status']}, {entry['seconds']:g} s)" + (f": {entry['error']}" if "error" in entry else "")
        for key, value in figures.items():
            yield from _line(key, value)


def _line(key: str, value: Any) -> Iterator[str]:
    if key == "levels":
        for level in value:
            stages = ", ".join(f"{stage} {spent:.0f}" for stage, spent in level["stages_ms"].items())
            yield (
                f"  {level['megapixels']:g} megapixels, {level['concurrency']} at once: {level['photos_per_second']:.2f} photos/s, "
                f"p50 {level['p50_ms']:.0f} ms ({stages})"
            )
    elif isinstance(value, dict) and "kernels" in value:
        yield f"  {key}: " + ", ".join(f"{name} {number}" for name, number in value.items() if name != "kernels")
        for row in value["kernels"]:
            yield f"    {row['milliseconds']:8.3f} ms  {row['kernel']}"
    elif isinstance(value, dict):
        parts = ", ".join(f"{name} {_short(number)}" for name, number in value.items())
        yield f"  {key}: {parts}"
    else:
        yield f"  {key}: {_short(value)}"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} {_short(number)}" for name, number in value.items()) + "}"
    return str(value)
