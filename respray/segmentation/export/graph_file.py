"""A graph's file or files, written beside the old ones and put in their place as a whole."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import onnx_ir as ir

from respray.segmentation.spec import GraphFiles, stored_file

EXTERNAL_DATA_BYTES = 256_000_000
"""Weights above this lie in a file of their own: a protobuf holds 2 GB at most, and making one takes twice its size in memory."""


def save_graph(model: ir.Model, path: Path) -> GraphFiles:
    """Write `path` (.onnx), with a `.data` file beside it where the weights are large. It may be what `model` was read from."""
    size = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value is not None)
    data = path.with_suffix(".data")
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as folder:
        ir.save(model, Path(folder) / path.name, external_data=data.name if size > EXTERNAL_DATA_BYTES else None)
        data.unlink(missing_ok=True)
        for written in Path(folder).iterdir():
            os.replace(written, path.parent / written.name)
    return GraphFiles(model=stored_file(path), data=stored_file(data) if data.is_file() else None)
