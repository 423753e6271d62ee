"""The configurations that are committed to `model_repository/` for readers: SAM3 at full size in FP16, target `onnxruntime`.

    python -m tools.docs.model_reference        writes them again after a change; a test fails when that was forgotten

Nothing reads them: `respray build` generates every target's from the graphs that it is given.
"""

from __future__ import annotations

from respray.segmentation.spec import GRAPH_NAMES, GraphFiles, ModelSpec, StoredFile
from respray.triton.repository.build_repository import SOURCES
from respray.triton.repository.configs import configs, to_text
from respray.triton.repository.targets import target

NO_HASH = "0" * 64
HEADER = "# SAM3 at full size, FP16, target onnxruntime. By `python -m tools.docs.model_reference`; `respray build` makes the real ones.\n"


def full_size() -> ModelSpec:
    """facebook/sam3 as `scripts/export_onnx.py --precision fp16 --attention ort` exports it (sizes from transformers' `Sam3Config`)."""
    names = (*GRAPH_NAMES, "sam3_geometry_encoder")
    graphs = {name: GraphFiles(model=StoredFile(file=f"{name}.onnx", sha256=NO_HASH, bytes=1)) for name in names}
    return ModelSpec.model_validate(
        {
            "name": "facebook/sam3",
            "is_demo": False,
            "image_size": 1008,
            "patch_size": 14,
            "grid": 72,
            "mask_size": 288,
            "channels": 256,
            "text_length": 32,
            "text_width": 256,
            "vocabulary": 49408,
            "pad_id": 49407,
            "queries": 32,
            "precision": "fp16",
            "weights": "fp16",
            "attention": "ort",
            "cls_token": "transformers",
            "opset": 20,
            "graphs": graphs,
            "tokenizer": StoredFile(file="tokenizer.json", sha256=NO_HASH, bytes=1),
        }
    )


def committed() -> dict[str, str]:
    """The files' texts by their path below `model_repository/`."""
    return {f"{name}/config.pbtxt": HEADER + to_text(config) for name, config in configs(full_size(), target("onnxruntime")).items()}


if __name__ == "__main__":
    for path, text in committed().items():
        (SOURCES / path).parent.mkdir(parents=True, exist_ok=True)
        (SOURCES / path).write_text(text)
        print(SOURCES / path)
