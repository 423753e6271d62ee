"""PyTorch beside it: transformers twice, and the modules that we export, with two kinds of attention and as CUDA graphs.

What the order of our work is worth on the same GPU, how long an image pass and a concept take without a runtime's own graphs, how much
memory they need, and whether FP16 arithmetic keeps the answers.

Seconds are medians over repeated runs that take turns, each until the GPU has finished. `graph` replays the modules as CUDA graphs: without
Python between the kernels, as a server's runtime works. Memory is the most that PyTorch's tensors took at once, without the weights.
"""

import contextlib
import functools
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.baseline import TransformersBaseline, median_seconds
from benchmarks.gpu_server.export import build
from benchmarks.gpu_server.plan import Findings, Plan
from respray.contract import tensors
from respray.segmentation.export.graphs import Graphs, build_graphs
from respray.segmentation.export.graphs.attention import AttentionKernel
from respray.segmentation.export.graphs.build_graphs import prompt_length
from respray.segmentation.export.transformers_reference import normalise, reference_outputs

KERNELS: tuple[AttentionKernel, ...] = ("torch", "explicit")
QUERIES = 32


class Machine:
    """The device that everything runs on."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype, self.cuda = device, dtype, device.type == "cuda"
        self.name = torch.cuda.get_device_name(device) if self.cuda else platform.machine()

    def finished(self, work: Callable[[], object]) -> None:
        """Do it, until the device has finished it."""
        work()
        self.wait()

    def wait(self) -> None:
        """Until the device is idle."""
        if self.cuda:
            torch.cuda.synchronize(self.device)

    def peak_bytes(self, work: Callable[[], object]) -> int | None:
        """The most memory that the tensors of `work` took beyond those that are there; None on a CPU."""
        if not self.cuda:
            return None
        self.wait()
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        self.finished(work)
        return torch.cuda.max_memory_allocated(self.device) - before


class Modules:
    """The modules that we export: the image once, all concepts in one decoder call, texts known from before."""

    def __init__(self, graphs: Graphs, image: Tensor, ids: Tensor, mask: Tensor) -> None:
        self.graphs, self.image = graphs, image
        self.text, self.mask = graphs.text_encoder(ids, mask)[None], mask[None]

    def encode(self) -> tuple[Tensor, Tensor, Tensor]:
        """The photo's three maps."""
        maps: tuple[Tensor, Tensor, Tensor] = self.graphs.image_encoder(self.image)
        return maps

    def decode(self, maps: tuple[Tensor, Tensor, Tensor], concepts: int) -> tuple[Tensor, ...]:
        """Masks, scores, boxes, presence and region of the first concepts."""
        found: tuple[Tensor, ...] = self.graphs.concept_decoder(*maps, self.text[:, :concepts], self.mask[:, :concepts])
        return found

    def segment(self, concepts: int) -> tuple[Tensor, ...]:
        """Both; the image alone where there are no concepts."""
        maps = self.encode()
        return self.decode(maps, concepts) if concepts else maps


def recorded(work: Callable[[], object]) -> Callable[[], None]:
    """`work` as a CUDA graph."""
    side, recording = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        work()
    torch.cuda.current_stream().wait_stream(side)
    with torch.cuda.graph(recording):
        kept = work()

    def replay(_kept: object = kept) -> None:
        recording.replay()

    return replay


def prompts(model: Any, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """int32 [count, T] token ids and mask of made-up prompts, 3 to 6 tokens long; a decoder's time does not depend on the words."""
    start, end = model.config.text_config.bos_token_id, model.config.text_config.eos_token_id
    ids = torch.zeros(count, prompt_length(model), dtype=torch.int32)
    for row in range(count):
        words = 1 + row % 4
        ids[row, : words + 2] = torch.tensor([start, *(100 + 7 * row + i for i in range(words)), end], dtype=torch.int32)
    return ids.to(device), (ids > 0).to(torch.int32).to(device)


def similarity(found: Tensor, truth: Tensor) -> float:
    """Cosine of two tensors in float64; NaN where one of them is not finite."""
    a, b = found.double().flatten(), truth.double().flatten()
    return float(a @ b / (a.norm() * b.norm()))


def answers(modules: Modules, concepts: int, truth: Any) -> dict[str, float]:
    """How like transformers' answers in FP32 those of the modules are, per tensor: cosines."""
    _, scores, _, presence, region = modules.segment(concepts)
    best = truth.scores.topk(scores.shape[2], dim=1).values
    pairs = {tensors.SCORES: (scores[0], best), tensors.PRESENCE: (presence[0], truth.presence),
             tensors.REGION: (region[0], (255.0 * truth.region).round())}  # fmt: skip
    for name, mine, reference in zip(tensors.FEATURES, modules.encode(), truth.features, strict=True):
        pairs[name] = (mine, reference)
    return {name: similarity(*pair) for name, pair in pairs.items()}


def run(plan: Plan, findings: Findings) -> None:
    """Everything, with the counts of the plan; the times of transformers, which take longest, from few turns."""
    machine = machine_of(plan)
    with exact_products():
        measure(build(plan, machine.device.type), machine, plan.concepts, min(5, plan.repeat), findings)


def machine_of(plan: Plan) -> "Machine":
    """PyTorch's side of the plan's device: FP16 on a GPU.

    Raises:
        RuntimeError: the plan is for a GPU, and PyTorch sees none.
    """
    if plan.cuda and not torch.cuda.is_available():
        raise RuntimeError("PyTorch sees no CUDA GPU here")
    return Machine(torch.device("cuda" if plan.cuda else "cpu"), torch.float16 if plan.cuda else torch.float32)


def measure(model: Any, machine: Machine, counts: Sequence[int], repeat: int, findings: Findings) -> None:
    """For one photo of noise: seconds and bytes by way and number of concepts (0: the image pass alone), and FP16 against FP32."""
    size = model.config.vision_config.backbone_config.image_size
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (1, size, size, 3), dtype=torch.uint8, generator=generator).to(machine.device)
    ids, mask = prompts(model, max(counts), machine.device)
    few = min(2, max(counts))
    truth = reference_outputs(model.to(machine.device), image, ids[:few], mask[:few], "transformers")
    model = model.cpu()
    modules = {kernel: Modules(on_device(machine, model, kernel), image, ids, mask) for kernel in KERNELS}
    like = {kernel: answers(some, few, truth) for kernel, some in modules.items()}
    del truth
    tokens = [(ids[i : i + 1].long(), mask[i : i + 1].long()) for i in range(len(ids))]
    pixels = normalise(image).to(machine.dtype)
    baseline = TransformersBaseline(model.to(machine.device, machine.dtype), pixels, lambda count: tokens[:count])
    ways: dict[str, Callable[[int], object]] = {"reencode": baseline.reencode, "reuse": baseline.reuse}
    ways |= {f"modules, {kernel} attention": some.segment for kernel, some in modules.items()}
    report: dict[str, Any] = {
        "device": machine.name, "torch": torch.__version__, "precision": str(machine.dtype).removeprefix("torch."),
        "cosine_to_fp32": like, "seconds": {}, "peak_bytes": {},
    }  # fmt: skip

    findings.note(report)

    def note(count: int, turns: Mapping[str, Callable[[], object]], replayed: bool = False) -> None:
        for name, work in turns.items():
            # A replay takes nothing: its tensors were taken when it was recorded.
            report["peak_bytes"].setdefault(name, {})[str(count)] = None if replayed else machine.peak_bytes(work)
        timed = {name: functools.partial(machine.finished, work) for name, work in turns.items()}
        for name, value in median_seconds(timed, repeat).items():
            report["seconds"].setdefault(name, {})[str(count)] = value
        findings.note(report)

    for count in (0, *counts):
        note(count, {name: functools.partial(work, count) for name, work in ways.items() if count or name != "reencode"})
    # Last: what cannot be recorded leaves CUDA in no state to measure anything else.
    for count in (0, *counts) if machine.cuda else ():
        try:
            note(count, {"modules, torch attention, graph": recorded(functools.partial(modules["torch"].segment, count))}, replayed=True)
        except RuntimeError as error:
            findings.note({"not_recorded": str(error)[:300]})
            break


def on_device(machine: Machine, model: Any, kernel: AttentionKernel) -> Graphs:
    """The model's modules on the device, in its precision."""
    graphs = build_graphs(model, "fp16" if machine.dtype == torch.float16 else "fp32", kernel, QUERIES, "transformers")
    for module in (graphs.image_encoder, graphs.text_encoder, graphs.concept_decoder):
        module.to(machine.device)
    return graphs


@contextlib.contextmanager
def exact_products() -> Iterator[None]:
    """FP32 products without TF32, which would make the reference as coarse as what is compared with it."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        with torch.inference_mode():
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
