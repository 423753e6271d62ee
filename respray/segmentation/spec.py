"""`spec.json`: what a folder of exported graphs is. Written at export, read by everything that runs or describes the graphs."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from respray.segmentation.errors import SpecError

FORMAT = 1
SPEC_FILE = "spec.json"
FED_AS = 1
"""Raised when photos are fed to the graphs in another way (`prepare`), or answers read in another way: older kept segments then miss."""
NO_BOX = -10
"""The label of padding among boxes, as transformers has it."""
Attention = Literal["explicit", "ort"]
Precision = Literal["fp32", "fp16"]
ClsToken = Literal["transformers", "meta"]
GraphName = Literal["sam3_image_encoder", "sam3_text_encoder", "sam3_concept_decoder", "sam3_geometry_encoder"]
GRAPH_NAMES: tuple[GraphName, ...] = ("sam3_image_encoder", "sam3_text_encoder", "sam3_concept_decoder")
"""What every export has. `sam3_geometry_encoder` is there where the model takes boxes."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredFile(_Frozen):
    """A file of the folder, by its name there."""

    file: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(gt=0)


class GraphFiles(_Frozen):
    """One exported graph; `data` holds its weights where they are not inside `model`."""

    model: StoredFile
    data: StoredFile | None = None


class ModelSpec(_Frozen):
    """Sizes, types and files of one export.

    Attributes:
        name: what the model calls itself ("demo", "facebook/sam3").
        is_demo: the project's own small model; `REQUIRE_REAL_MODEL` refuses it.
        image_size: S, side of the photo square in pixels. patch_size: side of a ViT patch. grid: g = S / patch.
        mask_size: side of masks and region, 4g.
        channels: C of the feature maps. text_length: T. text_width: D of the text features.
        queries: K, instances kept per concept.
        precision: of weights and activations in the graphs; feature maps have this type too.
        weights: how the graphs' files hold the weights ("fp16-storage": FP16 with a Cast to FP32 in front of each use).
        attention: "explicit" runs everywhere, "ort" (fused operators) in ONNX Runtime only.
        cls_token: prompt as in transformers (text only) or as in Meta's code (with the geometry encoder's CLS token).
        region_source: what `region` is made from.
        vocabulary, pad_id: number of token ids, and the id that fills up to `text_length`.
        islands: nodes of FP16 graphs that compute in FP32, because FP16 might not hold their values (`export/mixed.py`).
        probe: a question with PyTorch's answers (`probe.py`); None in exports that were made before there were probes.
    """

    format: Literal[1] = 1
    name: str = Field(min_length=1)
    is_demo: bool
    image_size: int = Field(gt=0)
    patch_size: int = Field(gt=0)
    grid: int = Field(gt=0)
    mask_size: int = Field(gt=0)
    channels: int = Field(gt=0)
    text_length: int = Field(gt=0)
    text_width: int = Field(gt=0)
    vocabulary: int = Field(gt=0)
    pad_id: int = Field(ge=0)
    queries: int = Field(gt=0)
    precision: Precision
    weights: Literal["fp32", "fp16", "fp16-storage"]
    attention: Attention
    cls_token: ClsToken
    opset: int = Field(ge=17)
    region_source: Literal["semantic_head"] = "semantic_head"
    graphs: dict[GraphName, GraphFiles]
    tokenizer: StoredFile
    islands: list[str] = Field(default_factory=list)
    probe: StoredFile | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_threshold(cls, data: Any) -> Any:
        """Earlier exports carry a threshold, which no server ever read: a request says it per concept."""
        return {name: value for name, value in data.items() if name != "threshold"} if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _sizes_agree(self) -> "ModelSpec":
        if self.grid * self.patch_size != self.image_size:
            raise ValueError(f"grid {self.grid} x patch_size {self.patch_size} is not image_size {self.image_size}")
        if self.mask_size != 4 * self.grid:
            raise ValueError(f"mask_size is {self.mask_size}; four times the grid is {4 * self.grid}")
        if self.pad_id >= self.vocabulary:
            raise ValueError(f"pad_id {self.pad_id} is outside the vocabulary of {self.vocabulary}")
        missing = [name for name in GRAPH_NAMES if name not in self.graphs]
        if missing:
            raise ValueError(f"no files for {', '.join(missing)}")
        return self

    @property
    def boxes(self) -> bool:
        """Whether the graphs take boxes as examples: an export has the geometry encoder where the model was trained for them."""
        return "sam3_geometry_encoder" in self.graphs

    @property
    def plain_features(self) -> bool:
        """Whether the image encoder also answers `features_plain`: with Meta's token, `features_low` is that already."""
        return self.boxes and self.cls_token == "transformers"

    def files(self) -> list[StoredFile]:
        """Every file of the folder except `spec.json`."""
        parts = [part for graph in self.graphs.values() for part in (graph.model, graph.data) if part is not None]
        return [*parts, self.tokenizer, *([self.probe] if self.probe is not None else [])]


def stored_file(path: Path) -> StoredFile:
    """Describe a file: name, SHA-256 and size in bytes."""
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return StoredFile(file=path.name, sha256=digest, bytes=path.stat().st_size)


def write_spec(spec: ModelSpec, folder: Path) -> None:
    """Write `spec.json`, readable and always the same for the same spec."""
    (folder / SPEC_FILE).write_text(json.dumps(spec.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")


def load_spec(folder: Path) -> ModelSpec:
    """Read and validate `folder/spec.json`; check that the files it names are there with the right size.

    Raises:
        SpecError: what is wrong with which file.
    """
    path = folder / SPEC_FILE
    if not path.is_file():
        raise SpecError(f"{folder} holds no {SPEC_FILE}: it is not a folder written by python -m respray.segmentation.export")
    try:
        spec = ModelSpec.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        detail = f"{'.'.join(str(part) for part in first['loc']) or 'the whole'}: {first['msg']}" if first else str(error)
        raise SpecError(f"{path} is not a valid model spec of format {FORMAT} ({detail}); export the checkpoint again") from error
    for stored in spec.files():
        file = folder / stored.file
        if not file.is_file():
            raise SpecError(f"{path} names {stored.file}, which is not in {folder}; export the checkpoint again")
        if file.stat().st_size != stored.bytes:
            raise SpecError(f"{file} has {file.stat().st_size} bytes instead of {stored.bytes}; export or copy it again")
    return spec


def verify_files(spec: ModelSpec, folder: Path) -> None:
    """Compare every file's SHA-256 with the spec's (seconds per gigabyte).

    Raises:
        SpecError: the first file that differs.
    """
    for stored in spec.files():
        if stored_file(folder / stored.file).sha256 != stored.sha256:
            raise SpecError(f"{folder / stored.file} is not the file that {SPEC_FILE} describes (SHA-256 differs); export or copy it again")
