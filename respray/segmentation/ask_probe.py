"""The probe's question to graphs in this process, without a server: `python -m respray.segmentation.ask_probe GRAPHS [DEVICE]`.

Prints one JSON document: {engine, problems, measures}. In a process of its own for whoever asks: full-size graphs take gigabytes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnxruntime

from respray.contract import tensors
from respray.segmentation.arrays import NamedArrays
from respray.segmentation.device import CPU, Device
from respray.segmentation.errors import SegmentationError, SpecError
from respray.segmentation.probe import Probe, ProbeResult, compare
from respray.segmentation.runner import Segmenter


def answers(segmenter: Segmenter, probe: Probe) -> NamedArrays:
    """What the graphs say to the probe's question: the feature maps, and the decoder's outputs, without their batch dimension."""
    features = segmenter.encode_images(probe.image[None])
    texts = segmenter.text_encoder({tensors.INPUT_IDS: probe.input_ids, tensors.ATTENTION_MASK: probe.attention_mask})
    found = segmenter.decode(features, texts[tensors.TEXT_FEATURES][None], probe.attention_mask[None])
    return {name: values[0] for name, values in features.items()} | {name: getattr(found, name)[0] for name in tensors.SEGMENTS}


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
    where = device.kind.upper() if segmenter.image_encoder.on_gpu else "CPU"
    return compare(probe, answers(segmenter, probe)), f"ONNX Runtime {onnxruntime.__version__} ({where})"


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
