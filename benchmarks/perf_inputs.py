"""Real photos and a real request as perf_analyzer's `--input-data`: it cycles through them, where random bytes would be no photo at all.

python -m benchmarks.perf_inputs --out build/perf/inputs.json
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.work import PHOTOS, load_photos, make_request
from respray.contract import tensors
from respray.triton.packing import pack


def inputs(photos: list[bytes], concepts: int) -> dict[str, Any]:
    """One step per photo with every input of `pipeline_bls`."""
    request = make_request(concepts).model_dump_json().encode()
    data, sizes = pack([])

    def encoded(content: bytes) -> dict[str, Any]:
        return {"content": {"b64": base64.b64encode(content).decode()}, "shape": [len(content)]}

    def listed(values: list[int]) -> dict[str, Any]:
        return {"content": values, "shape": [len(values)]}

    packed = {tensors.ATTACHMENTS: listed(data.tolist()), tensors.ATTACHMENT_SIZES: listed(sizes.tolist())}
    fixed = {tensors.REQUEST: encoded(request), **packed}
    return {"data": [{tensors.PHOTO: encoded(photo), **fixed} for photo in photos]}


def main(
    *,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
    photos: Annotated[Path, typer.Option(help="Folder of photos.")] = PHOTOS,
    concepts: Annotated[int, typer.Option(help="Concepts per photo, 1 to 8.")] = 3,
) -> None:
    """Write the file."""
    out.write_text(json.dumps(inputs(load_photos(photos), concepts)), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
