"""The graphs in this process, on ONNX Runtime. Used by the embedded server's models, the parity check and the benchmark."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from respray.contract import tensors
from respray.processors import usable_cores
from respray.segmentation.accelerator import cuda_problem
from respray.segmentation.arrays import Float32Array, Int32Array, NamedArrays, UInt8Array
from respray.segmentation.errors import TensorError
from respray.segmentation.spec import GraphName, ModelSpec, load_spec
from respray.segmentation.tokenizer import PromptTokenizer

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decoded:
    """The concept decoder's outputs; shapes as in docs/architecture.md, B photos and N concepts.

    Attributes:
        masks: uint8 [B, N, K, 4g, 4g]. scores: float32 [B, N, K]. boxes: float32 [B, N, K, 4].
        presence: float32 [B, N]. region: uint8 [B, N, 4g, 4g].
    """

    masks: UInt8Array
    scores: Float32Array
    boxes: Float32Array
    presence: Float32Array
    region: UInt8Array


def providers(device: int | None) -> list[str | tuple[str, dict[str, str]]]:
    """ONNX Runtime's execution providers: CUDA device `device` where this build has it and it loads, the CPU otherwise (`None`: always)."""
    if device is not None and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        problem = cuda_problem()
        if problem:
            # Asked first because ONNX Runtime would not raise: cuDNN ends the process when one of its parts is missing.
            _log.warning("CUDA is not used: %s", problem)
            return ["CPUExecutionProvider"]
        # Those of NVIDIA's wheels, which are in no folder that a loader searches:
        # https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html#preload-dlls
        onnxruntime.preload_dlls()
        return [("CUDAExecutionProvider", {"device_id": str(device)}), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


class GraphRunner:
    """One graph: numpy arrays by name in, numpy arrays by name out. Calls from several threads are safe."""

    def __init__(self, path: Path, threads: int | None = None, device: int | None = 0, profile: str | None = None) -> None:
        """Load a graph.

        Args:
            path: the `.onnx` file.
            threads: of one call on the CPU; None: every core that this process may use.
            device: CUDA device where there is one; None stays on the CPU.
            profile: prefix of a profiler trace to write.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads if threads is not None else usable_cores()
        options.log_severity_level = 3
        options.inter_op_num_threads = 1
        # Idle threads that spin would take the cores from the image edits of the photo before.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = profile
        self.session = onnxruntime.InferenceSession(str(path), options, providers=providers(device))
        self.inputs = {node.name: node for node in self.session.get_inputs()}
        self.outputs = [node.name for node in self.session.get_outputs()]

    @property
    def on_gpu(self) -> bool:
        """Whether CUDA runs the graph. ONNX Runtime takes the CPU without an error where it cannot."""
        return "CUDAExecutionProvider" in self.session.get_providers()

    def __call__(self, arrays: NamedArrays) -> NamedArrays:
        """Run the graph.

        Raises:
            TensorError: a missing, unknown or ill-fitting input, with what would fit.
        """
        unknown = sorted(set(arrays) ^ set(self.inputs))
        if unknown:
            raise TensorError(f"inputs given: {sorted(arrays)}; the graph takes {sorted(self.inputs)}")
        try:
            values = self.session.run(self.outputs, arrays)
        except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument as error:
            given = {name: f"{value.dtype} {list(value.shape)}" for name, value in arrays.items()}
            takes = {name: f"{node.type} {node.shape}" for name, node in self.inputs.items()}
            raise TensorError(f"inputs given: {given}; the graph takes {takes}") from error
        return dict(zip(self.outputs, values, strict=True))


class Segmenter:
    """The graphs of a folder: encode a photo once, a text once, decode any number of concepts."""

    def __init__(self, folder: Path, threads: int | None = None, device: int | None = 0) -> None:
        """Load `folder` (graphs, spec.json, tokenizer.json). Arguments as for `GraphRunner`; raises `SpecError`."""
        self.spec: ModelSpec = load_spec(folder)
        self.tokenizer = PromptTokenizer.from_spec(self.spec, folder)
        paths: dict[GraphName, Path] = {name: folder / files.model.file for name, files in self.spec.graphs.items()}
        self.image_encoder = GraphRunner(paths["sam3_image_encoder"], threads, device)
        # As in the server: the text encoder stays on the CPU, its answers are cached.
        self.text_encoder = GraphRunner(paths["sam3_text_encoder"], threads, None)
        self.concept_decoder = GraphRunner(paths["sam3_concept_decoder"], threads, device)

    def encode_images(self, squares: UInt8Array) -> NamedArrays:
        """uint8 [B, S, S, 3] to the feature maps by name."""
        return self.image_encoder({tensors.IMAGE: squares})

    def encode_prompts(self, prompts: Sequence[str]) -> tuple[Float32Array, Int32Array]:
        """N prompts to `text_features` float32 [N, T, D] and `text_mask` int32 [N, T]."""
        ids, mask = self.tokenizer(prompts)
        return self.text_encoder({tensors.INPUT_IDS: ids, tensors.ATTENTION_MASK: mask})[tensors.TEXT_FEATURES], mask

    def decode(self, features: NamedArrays, text_features: Float32Array, text_mask: Int32Array) -> Decoded:
        """Feature maps of B photos, text [B, N, T, D] and mask [B, N, T] to the decoder's outputs."""
        maps = {name: features[name] for name in tensors.FEATURES}
        outputs = self.concept_decoder({**maps, tensors.TEXT_FEATURES: text_features, tensors.TEXT_MASK: text_mask})
        return Decoded(**{name: outputs[name] for name in tensors.SEGMENTS})
