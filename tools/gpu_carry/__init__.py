"""Bring what a GPU machine without network lacks, in pieces that fit one call each (docs/full-size.md, "A GPU that is lent").

`python -m tools.gpu_carry` prepares them here; `unpack.py`, of the standard library alone, puts them together there.
"""
