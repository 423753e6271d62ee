"""Names of the configuration parameters through which a built repository speaks to its Python models.

Apart from `respray.triton.repository.configs`, whose imports (gRPC, protobuf) every instance of every model would otherwise pay for.
"""

from typing import Literal

GRAPH = "graph"
"""File of the exported graph in the model's version folder; of encoder and decoder, comma-separated, where one model runs both."""
THREADS = "threads"
"""Cores that one run of the graph may use; 0 for all."""
DEVICE = "device"
"""Where the graph runs: `cpu`, `cuda:N`, or `tensorrt-rtx:N`."""
DeviceKind = Literal["cpu", "cuda", "tensorrt-rtx"]
GPU_MEMORY = "gpu_memory"
"""Bytes that the graph may take on the GPU; 0: no limit."""
MAX_DECODED = "max_decoded"
"""Photos x concepts that one run of the decoder takes, where it runs in the encoder's process."""
LATE = "load_late"
"""`true`: the graph is loaded for the first request, because another model usually does its work."""
BUCKETS = "concept_buckets"
"""Ascending numbers of concepts to which requests are padded, comma-separated."""
MODEL = "model_digest"
"""What kept segments are of: changes with the graphs, the tokenizer, and how they are fed."""
PROBE = "probe"
"""How the graphs answered the probe, as JSON (`respray.contract.report.ProbeReport`). Written by the gate when it loads the pipeline."""
OBJECTS = "object_source"
"""Where the mask of an object comes from: `instances`, or `region` for the demo model, whose instances are weaker than its regions."""
