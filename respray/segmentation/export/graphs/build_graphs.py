"""From a transformers `Sam3Model` to the modules that are exported."""

import copy
from dataclasses import dataclass
from typing import Any

from torch import nn

from respray.segmentation.errors import CheckpointError
from respray.segmentation.export.graphs.attention import AttentionKernel
from respray.segmentation.export.graphs.concept_decoder import ConceptDecoder
from respray.segmentation.export.graphs.exact import keep_exact
from respray.segmentation.export.graphs.geometry_encoder import GeometryEncoder
from respray.segmentation.export.graphs.image_encoder import ImageEncoder, Rotation
from respray.segmentation.export.graphs.text_encoder import TextEncoder
from respray.segmentation.spec import ClsToken, Precision

PROMPT_TOKENS = 32
# Of the query decoder and the geometry encoder: FP32 in FP16 graphs too.
EXACT_BUFFERS = ("dim_t", "first_boxes")


@dataclass(frozen=True)
class Graphs:
    """The modules in evaluation mode, all of one precision; without `geometry_encoder`, no boxes are taken."""

    image_encoder: ImageEncoder
    text_encoder: TextEncoder
    concept_decoder: ConceptDecoder
    geometry_encoder: GeometryEncoder | None = None


def build_graphs(
    model: Any, precision: Precision, kernel: AttentionKernel, queries: int, cls_token: ClsToken, boxes: bool = False
) -> Graphs:
    """Build the graphs' modules; `model` is not changed. `boxes`: with the geometry encoder, which takes examples in boxes.

    Raises:
        CheckpointError: the model's shape is one that these graphs do not cover.
    """
    check_supported(model, boxes)
    if precision == "fp16":
        # The copy shares the weights: each is replaced by its FP16 one, and the model's own stays.
        own = {id(weight): nn.Parameter(weight.detach(), requires_grad=False) for weight in model.parameters()}
        model = copy.deepcopy(model, memo=own)
    model = model.eval().requires_grad_(False)
    meta = cls_token == "meta"
    kept = min(queries, model.config.detr_decoder_config.num_queries)
    graphs = Graphs(
        # With Meta's token the lowest map is left as it is anyway.
        ImageEncoder(model, kernel, prompt_free_layer=not meta, plain=boxes and not meta).eval(),
        TextEncoder(model, prompt_length(model)).eval(),
        ConceptDecoder(model, kernel, kept, cls_token=meta, text_length=prompt_length(model) if boxes else None).eval(),
        GeometryEncoder(model).eval() if boxes else None,
    )
    if precision == "fp16":
        _to_half(graphs)
    return graphs


def prompt_length(model: Any) -> int:
    """Tokens per prompt: 32, as SAM3's processor pads (`sam3_lite_text` can take more), or what the model can take."""
    return min(PROMPT_TOKENS, int(model.config.text_config.max_position_embeddings))


def check_supported(model: Any, boxes: bool = False) -> None:
    """Raise `CheckpointError` where the model's architecture differs from what the graphs assume."""
    config = model.config
    backbone = config.vision_config.backbone_config
    if not isinstance(backbone.image_size, int) or backbone.image_size % backbone.patch_size:
        raise CheckpointError(f"image_size is {backbone.image_size}; it must be one whole multiple of the patch size {backbone.patch_size}")
    scales = list(config.vision_config.scale_factors)
    if scales[:-1] != [4.0, 2.0, 1.0]:
        raise CheckpointError(f"the neck's scale factors are {scales}; the graphs cover [4.0, 2.0, 1.0, and a last one that is not used]")
    widths = {config.vision_config.fpn_hidden_size, config.detr_encoder_config.hidden_size, config.detr_decoder_config.hidden_size}
    if len(widths) != 1:
        raise CheckpointError(f"neck, DETR encoder and DETR decoder have the widths {sorted(widths)}; they must be equal")
    if boxes and (width := model.config.geometry_encoder_config.hidden_size) not in widths:
        raise CheckpointError(f"the geometry encoder has the width {width} and the rest {widths.pop()}; export without boxes")


def _to_half(graphs: Graphs) -> None:
    """FP16 weights and activations, except where FP16 is too coarse: rotary tables, everything about boxes, the final scores, and weights
    that it cannot hold (`exact`).

    What stays FP32 is left alone: `half()` on the whole and `float()` on these parts would leave them rounded to FP16.
    """
    decoder = graphs.concept_decoder.query_decoder
    exact = [module for module in graphs.image_encoder.modules() if isinstance(module, Rotation)] + [decoder.box_bias, decoder.box_head]
    geometry = graphs.geometry_encoder
    if geometry is not None:
        exact += [geometry.direct, geometry.placed, geometry.weights]
    spared = {part for module in exact for part in module.modules()}
    # Read by their weights' names or types, not only called.
    read = {decoder.ref_point_head, graphs.image_encoder.patches, graphs.concept_decoder.pixel_decoder.instance}
    read |= {graphs.concept_decoder.pixel_decoder.semantic}
    for graph in filter(None, (graphs.image_encoder, graphs.text_encoder, graphs.concept_decoder, geometry)):
        spared |= keep_exact(graph, spared | read)
    for graph in filter(None, (graphs.image_encoder, graphs.text_encoder, graphs.concept_decoder, geometry)):
        for module in graph.modules():
            if module in spared:
                continue
            for parameter in module.parameters(recurse=False):
                parameter.data = parameter.data.half()
            for name, buffer in list(module.named_buffers(recurse=False)):
                if buffer.is_floating_point() and not (module in (decoder, geometry) and name in EXACT_BUFFERS):
                    setattr(module, name, buffer.half())
