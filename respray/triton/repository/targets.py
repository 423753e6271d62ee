"""Where a model repository will run, and the numbers that belong to that place: batches, queue delays and instances.

The three targets have the same models, tensors and Python code; only what is here differs. See `docs/serving.md` for how the defaults
were measured.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, NonNegativeInt, PositiveInt, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from respray.contract.parameters import DeviceKind
from respray.segmentation.spec import Attention
from respray.triton.errors import BuildError

TargetName = Literal["embedded", "onnxruntime", "tensorrt"]
MAX_VALUES = {"conv_search": 2, "arena_growth": 1}
TARGETS: tuple[TargetName, ...] = get_args(TargetName)


@dataclass(frozen=True, config=ConfigDict(strict=True))
class Target:
    """One place to run. Queue delays are in microseconds: how long the first request of a batch may wait for company.

    `max_photos` bounds the encoder's batches, `max_concepts` is the largest bucket of concepts, and `max_decoded` bounds photos x concepts
    of one run of the decoder, whose memory grows with that product; together they bound the GPU memory.
    `gpus` is how many devices get an instance of encoder and decoder (ignored by `embedded`, which uses what onnxruntime offers);
    `conv_search` (0 exhaustive, 1 heuristic, 2 default), `arena_growth` (0 doubling, 1 as much as is asked for) and `gpu_memory` (bytes
    that ONNX Runtime may take on each GPU for each graph; 0: no limit) are options of its CUDA provider
    (https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html): doubling and exhaustive search take memory that 16 GB
    cards do not have to spare.
    `graph_threads` is how many cores one run of a graph may use on the CPU (`embedded` only; 0: all).
    `device` is where ONNX Runtime runs encoder and decoder (`embedded` only; the others are for GPUs anyway); with `joined` both are in one
    process and features stay in the device's memory (`embedded` only: Triton's own backends pass them there by themselves).
    """

    name: TargetName
    max_photos: PositiveInt = 4
    max_concepts: PositiveInt = 16
    max_decoded: PositiveInt = 16
    max_texts: PositiveInt = 16
    encoder_delay: NonNegativeInt = 2000
    decoder_delay: NonNegativeInt = 1000
    gpus: PositiveInt = 1
    encoder_instances: PositiveInt = 1
    decoder_instances: PositiveInt = 1
    text_instances: PositiveInt = 1
    applier_instances: PositiveInt = 4
    pipeline_instances: PositiveInt = 8
    conv_search: Annotated[int, Field(ge=0, le=2)] = 1
    arena_growth: Annotated[int, Field(ge=0, le=1)] = 1
    gpu_memory: NonNegativeInt = 0
    graph_threads: NonNegativeInt = 0
    exact_buckets: bool = False
    warm_up: bool = True
    device: DeviceKind = "cpu"
    joined: bool = False

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, given: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """Say what is wrong, and what would be accepted, in one sentence (BuildError)."""
        try:
            return validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            name, value = str(first["loc"][0]), first["input"]
            if name == "name":
                raise BuildError(f"Unknown target {value!r}; there is: {', '.join(TARGETS)}.") from None
            if name in MAX_VALUES:
                raise BuildError(f"{name} is {value!r}; a whole number from 0 to {MAX_VALUES[name]} is accepted.") from None
            if name == "device":
                raise BuildError(f"device is {value!r}; {', '.join(get_args(DeviceKind))} are accepted.") from None
            minimum = 0 if name.endswith(("_delay", "_threads", "_memory")) else 1
            raise BuildError(f"{name} is {value!r}; a whole number of at least {minimum} is accepted.") from None

    @property
    def decoder_photos(self) -> int:
        """Photos that the decoder takes at once. A photo with all concepts is always taken, by itself where need be."""
        return max(1, min(self.max_photos, self.max_decoded // self.max_concepts))

    @property
    def attention(self) -> Attention:
        """The form of attention that graphs for this target are to be exported with (the exporter's `--attention`).

        TensorRT fuses the explicit form itself. ONNX Runtime would store its matrices, and has an operator of its own that does not.
        """
        return "explicit" if "tensorrt" in (self.name, self.device.partition("-")[0]) else "ort"

    @property
    def buckets(self) -> tuple[int, ...]:
        """Numbers of concepts to which requests are padded: powers of two, and `max_concepts` itself last; with `exact_buckets` all.

        Triton batches only requests of equal shapes, and TensorRT tunes its kernels per shape: few different shapes serve both. On a CPU
        neither counts, and every concept of padding costs as much as a real one.
        """
        if self.exact_buckets:
            return tuple(range(1, self.max_concepts + 1))
        powers = []
        size = 1
        while size < self.max_concepts:
            powers.append(size)
            size *= 2
        return (*powers, self.max_concepts)


# embedded: a few cores, where waiting for a fuller batch gains nothing (batches still form while the encoder is busy) and padding costs;
# more pipeline instances than cores, so that photos are decoded while others are encoded. The GPU targets' batch sizes bound memory to what
# a 16 GB card has, by calculation and by what the modules took on a GPU (docs/serving.md, "GPU memory"); the server was not measured there.
DEFAULTS: dict[TargetName, Target] = {
    "embedded": Target(
        "embedded", max_decoded=64, encoder_delay=0, decoder_delay=0, applier_instances=2, pipeline_instances=4, exact_buckets=True
    ),
    "onnxruntime": Target("onnxruntime"),
    "tensorrt": Target("tensorrt"),
}


def embedded_on(device: DeviceKind | None) -> dict[str, int | bool | str]:
    """What `target("embedded")` takes for a device: on a GPU both graphs in one process, and as much decoded at once as there."""
    if device is None or device == "cpu":
        return {}
    return {"device": device, "joined": True, "max_decoded": DEFAULTS["onnxruntime"].max_decoded}


def target(name: str, **overrides: int | bool | str | None) -> Target:
    """The named target's defaults with the overrides that are not None.

    Raises:
        BuildError: an unknown name or setting, or a value that is not accepted.
    """
    if name not in DEFAULTS:
        raise BuildError(f"Unknown target {name!r}; there is: {', '.join(TARGETS)}.")
    known = {entry.name for entry in dataclasses.fields(Target)} - {"name"}
    given = {key: value for key, value in overrides.items() if value is not None}
    if unknown := sorted(set(given) - known):
        raise BuildError(f"Unknown setting {', '.join(unknown)}; there is: {', '.join(sorted(known))}.")
    return dataclasses.replace(DEFAULTS[name], **given)  # type: ignore[arg-type]
