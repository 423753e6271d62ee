"""transformers' own post-processing of SAM3, as plain functions.

They are methods of the image processor, whose module imports torchvision for other purposes; this project has no use for
torchvision. So the very functions are taken out of the installed module's source, unchanged.
"""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import torch
from transformers.image_processing_outputs import SemanticSegmentationPostProcessorOutput

NAMES = {"_scale_boxes", "post_process_instance_segmentation", "post_process_semantic_segmentation"}


def _functions() -> dict[str, Any]:
    package = importlib.util.find_spec("transformers")
    assert package is not None and package.origin is not None
    source = Path(package.origin).parent / "models" / "sam3" / "image_processing_sam3.py"
    tree = ast.parse(source.read_text(encoding="utf-8"))
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name in NAMES]
    assert {node.name for node in found} == NAMES
    namespace: dict[str, Any] = {"torch": torch, "SemanticSegmentationPostProcessorOutput": SemanticSegmentationPostProcessorOutput}
    future = ast.ImportFrom("__future__", [ast.alias("annotations")], 0)
    module = ast.fix_missing_locations(ast.Module([future, *found], []))
    exec(compile(module, str(source), "exec"), namespace)
    return namespace


_LIFTED = _functions()


def instance_segmentation(outputs: Any, threshold: float, size: tuple[int, int] | None) -> dict[str, torch.Tensor]:
    """`scores`, `boxes` and `masks` of one photo and concept."""
    sizes = None if size is None else [size]
    result: dict[str, torch.Tensor] = _LIFTED["post_process_instance_segmentation"](None, outputs, threshold=threshold, target_sizes=sizes)[
        0
    ]
    return result


def semantic_segmentation(outputs: Any, size: tuple[int, int] | None) -> torch.Tensor:
    """The binary region of one photo and concept, [height, width]."""
    result = _LIFTED["post_process_semantic_segmentation"](None, outputs, target_sizes=None if size is None else [size])[0]
    region: torch.Tensor = result["segmentation"] if isinstance(result, dict) else getattr(result, "segmentation", result)
    return region
