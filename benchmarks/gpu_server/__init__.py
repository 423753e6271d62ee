"""Respray on a GPU, measured in one run of under ten minutes: `python -m benchmarks.gpu_server` (docs/full-size.md, "On a GPU").

Each step is a process of its own (`child.py`), so that one that crashes, hangs or runs out of memory costs its own figures only.
"""
