"""Image encoder and concept decoder in one process: the feature maps (56 MB per photo in FP16 at full size) stay where they were made."""

from __future__ import annotations

import numpy as np

from respray.contract import tensors
from respray.segmentation.arrays import Float32Array, Int32Array, NamedArrays, UInt8Array
from respray.segmentation.runner import GraphRunner


class JoinedGraphs:
    """Photos and their concepts to segments, without features in between."""

    def __init__(self, encoder: GraphRunner, decoder: GraphRunner, max_decoded: int) -> None:
        """`encoder` and `decoder` run on the same device; one run of the decoder takes `max_decoded` photos x concepts, or one photo."""
        self.encoder, self.decoder, self.max_decoded = encoder, decoder, max_decoded

    def __call__(self, images: UInt8Array, text_features: Float32Array, text_mask: Int32Array, features: bool = False) -> NamedArrays:
        """Segment a batch.

        Args:
            images: uint8 [B, S, S, 3]. text_features: float32 [B, N, T, D]. text_mask: int32 [B, N, T].
            features: answer the feature maps too, copied into CPU memory.

        Returns:
            `tensors.SEGMENTS`, and with `features` all that the encoder answers.
        """
        _, maps = self.encoder.bound({tensors.IMAGE: images}, set(self.encoder.outputs))
        photos = max(1, self.max_decoded // max(1, text_mask.shape[1]))
        parts: list[NamedArrays] = []
        for start in range(0, len(images), photos):
            end = min(start + photos, len(images))
            here = {name: maps[name].part(start, end) for name in tensors.FEATURES}
            prompts = {tensors.TEXT_FEATURES: text_features[start:end], tensors.TEXT_MASK: text_mask[start:end]}
            parts.append(self.decoder.bound({**here, **prompts}, ())[0])
        found = parts[0] if len(parts) == 1 else {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return {**found, **({name: values.numpy() for name, values in maps.items()} if features else {})}
