"""The graphs in this process, on ONNX Runtime. Used by the embedded server's models, the parity check and the benchmark."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from respray.contract import tensors
from respray.processors import usable_cores
from respray.segmentation.arrays import AnyArray, Float32Array, Int32Array, NamedArrays, UInt8Array
from respray.segmentation.device import ANY_GPU, CPU, Device, DeviceArray
from respray.segmentation.errors import TensorError
from respray.segmentation.providers import CUDA_PROVIDER, RTX_PROVIDER, add_providers
from respray.segmentation.spec import GraphName, ModelSpec, load_spec
from respray.segmentation.tokenizer import PromptTokenizer

MISFITS = ("invalid dimensions", "Unexpected input data type", "Invalid rank")
Given = Mapping[str, AnyArray | DeviceArray]


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


class GraphRunner:
    """One graph: arrays by name in, arrays by name out. Calls from several threads are safe."""

    def __init__(
        self,
        path: Path,
        threads: int | None = None,
        device: Device = ANY_GPU,
        profile: str | None = None,
        placement: bool = False,
        sparing: bool = False,
    ) -> None:
        """Load a graph.

        Args:
            path: the `.onnx` file.
            threads: of one call on the CPU; None: every core that this process may use.
            device: where it runs.
            profile: prefix of a profiler trace to write.
            placement: remember which provider runs which node (`session.get_provider_graph_assignment_info`).
            sparing: hold no memory longer than a value is needed, and run the nodes in the graph's order.

        Raises:
            DeviceError: TensorRT-RTX is asked for and cannot be used.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads if threads is not None else usable_cores()
        options.log_severity_level = 3
        options.inter_op_num_threads = 1
        # Idle threads that spin would take the cores from the image edits of the photo before.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if placement:
            options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        if sparing:
            options.enable_cpu_mem_arena = options.enable_mem_pattern = False
            # The usual order begins at the last output and keeps what other outputs need until the end.
            options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
        if profile is not None:
            options.enable_profiling = True
            options.profile_file_prefix = profile
        self.device = device
        self.session = onnxruntime.InferenceSession(str(path), options, providers=add_providers(options, device) or None)
        self.inputs = {node.name: node for node in self.session.get_inputs()}
        self.outputs = [node.name for node in self.session.get_outputs()]

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU runs the graph. ONNX Runtime takes the CPU without an error where CUDA cannot be used."""
        return not {CUDA_PROVIDER, RTX_PROVIDER}.isdisjoint(self.session.get_providers())

    def __call__(self, arrays: NamedArrays) -> NamedArrays:
        """Run the graph.

        Raises:
            TensorError: a missing, unknown or ill-fitting input, with what would fit.
        """
        self._check_names(arrays)
        try:
            values = self.session.run(self.outputs, arrays)
        except onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument as error:
            raise self._misfit(arrays) from error
        return dict(zip(self.outputs, values, strict=True))

    def bound(self, arrays: Given, kept: Collection[str]) -> tuple[NamedArrays, dict[str, DeviceArray]]:
        """Run the graph with arrays that lie where it runs.

        https://onnxruntime.ai/docs/api/python/api_summary.html#data-on-device

        Args:
            arrays: in CPU memory, or in this device's.
            kept: outputs that stay there; the others come to CPU memory.

        Returns:
            The others, and those that stay.

        Raises:
            TensorError: as for a call.
        """
        self._check_names(arrays)
        binding = self.session.io_binding()
        storage = self.device.storage if self.on_gpu else CPU.storage
        try:
            for name, value in arrays.items():
                if isinstance(value, DeviceArray):
                    binding.bind_input(name, *storage, value.dtype.type, list(value.shape), value.pointer)
                else:
                    binding.bind_cpu_input(name, np.ascontiguousarray(value))
            for name in self.outputs:
                binding.bind_output(name, *(storage if name in kept else CPU.storage))
            self.session.run_with_iobinding(binding)
        except (RuntimeError, onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument) as error:
            # A bound run has no class of its own for it.
            if any(text in str(error) for text in MISFITS):
                raise self._misfit(arrays) from error
            raise
        # The next graph reads them on a stream of its own.
        binding.synchronize_outputs()
        found = dict(zip(self.outputs, binding.get_outputs(), strict=True))
        staying = {name: DeviceArray.over(value) for name, value in found.items() if name in kept}
        return {name: value.numpy() for name, value in found.items() if name not in kept}, staying

    def _check_names(self, arrays: Given) -> None:
        if set(arrays) != set(self.inputs):
            raise TensorError(f"inputs given: {sorted(arrays)}; the graph takes {sorted(self.inputs)}")

    def _misfit(self, arrays: Given) -> TensorError:
        given = {name: f"{value.dtype} {list(value.shape)}" for name, value in arrays.items()}
        takes = {name: f"{node.type} {node.shape}" for name, node in self.inputs.items()}
        return TensorError(f"inputs given: {given}; the graph takes {takes}")


class Segmenter:
    """The graphs of a folder: encode a photo once, a text once, decode any number of concepts."""

    def __init__(self, folder: Path, threads: int | None = None, device: Device = ANY_GPU) -> None:
        """Load `folder` (graphs, spec.json, tokenizer.json). Arguments as for `GraphRunner`; raises `SpecError`."""
        self.spec: ModelSpec = load_spec(folder)
        self.tokenizer = PromptTokenizer.from_spec(self.spec, folder)
        paths: dict[GraphName, Path] = {name: folder / files.model.file for name, files in self.spec.graphs.items()}
        self.image_encoder = GraphRunner(paths["sam3_image_encoder"], threads, device)
        # As in the server: the text encoder stays on the CPU, its answers are cached.
        self.text_encoder = GraphRunner(paths["sam3_text_encoder"], threads, CPU)
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
