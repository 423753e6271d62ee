"""The probe's question to graphs in this process, without a server: `python -m respray.segmentation.ask_probe GRAPHS [DEVICE]`.

Prints one JSON document: {engine, problems, measures}. In a process of its own for whoever asks: full-size graphs take gigabytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from respray.contract import tensors
from respray.segmentation.arrays import NamedArrays
from respray.segmentation.device import CPU, Device
from respray.segmentation.errors import SegmentationError, SpecError
from respray.segmentation.probe import Probe, ProbeResult, compare
from respray.segmentation.question import answers
from respray.segmentation.runner import GraphRunner, Segmenter


class FolderModels:
    """The repository's models over the graphs of a folder. One photo is asked about, so it is encoded once."""

    def __init__(self, segmenter: Segmenter, geometry_encoder: GraphRunner | None = None) -> None:
        """`geometry_encoder`: of graphs that take boxes."""
        self._segmenter, self._geometry_encoder = segmenter, geometry_encoder
        self._maps: NamedArrays | None = None

    def __call__(self, model: str, given: NamedArrays, wanted: Sequence[str]) -> NamedArrays:
        """`question.Infer`."""
        if model == "sam3_text_encoder":
            return self._segmenter.text_encoder(given)
        if self._maps is None:
            self._maps = self._segmenter.encode_images(given[tensors.IMAGE])
        if model == "sam3_image_encoder":
            return {name: self._maps[name] for name in wanted}
        texts, mask = given[tensors.TEXT_FEATURES], given[tensors.TEXT_MASK]
        if model == "sam3_boxes":
            assert self._geometry_encoder is not None
            plain = self._maps[tensors.FEATURES_PLAIN if self._segmenter.spec.plain_features else tensors.FEATURES_LOW]
            asked = {name: value for name, value in given.items() if name != tensors.IMAGE}
            longer = self._geometry_encoder({tensors.FEATURES_PLAIN: plain, **asked})
            texts, mask = longer[tensors.PROMPT_FEATURES], longer[tensors.PROMPT_MASK]
        return dict(vars(self._segmenter.decode(self._maps, texts, mask)))


def ask(graphs: Path, device: Device) -> tuple[ProbeResult, str]:
    """Ask the graphs of a folder on a device; how near the answers are, and what gave them.

    Raises:
        SpecError: the graphs or the probe are damaged, or there is no probe.
        DeviceError: the device cannot be used here.
    """
    segmenter = Segmenter(graphs, device=device)
    if segmenter.spec.probe is None:
        raise SpecError(f"the graphs of {segmenter.spec.name} have no probe; export them again")
    probe = Probe.load(graphs / segmenter.spec.probe.file, segmenter.spec)
    geometry = segmenter.spec.graphs.get("sam3_geometry_encoder")
    models = FolderModels(segmenter, GraphRunner(graphs / geometry.model.file, device=device) if geometry is not None else None)
    where = device.kind.upper() if segmenter.image_encoder.on_gpu else "CPU"
    return compare(probe, answers(models, probe, segmenter.spec)), f"ONNX Runtime {onnxruntime.__version__} ({where})"


def main(arguments: list[str] | None = None) -> int:
    """Ask and print; 1 where the graphs cannot be asked, with the reason on stderr."""
    graphs, *device = sys.argv[1:] if arguments is None else arguments
    try:
        result, engine = ask(Path(graphs), Device.named(device[0]) if device else CPU)
    except SegmentationError as error:
        print(error, file=sys.stderr)
        return 1
    measures = [measure.model_dump() for measure in result.measures]
    print(json.dumps({"engine": engine, "problems": result.problems, "measures": measures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
