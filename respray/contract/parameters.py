"""Names of the configuration parameters through which a built repository speaks to its Python models.

Apart from `respray.triton.repository.configs`, whose imports (gRPC, protobuf) every instance of every model would otherwise pay for.
"""

GRAPH = "graph"
"""File of the exported graph in the model's version folder."""
THREADS = "threads"
"""Cores that one run of the graph may use; 0 for all."""
DEVICE = "device"
"""Where the graph runs: `cpu`, or `cuda:N`."""
BUCKETS = "concept_buckets"
"""Ascending numbers of concepts to which requests are padded, comma-separated."""
MODEL = "model_digest"
"""What kept segments are of: changes with the graphs, the tokenizer, and how they are fed."""
PROBE = "probe"
"""How the graphs answered the probe, as JSON (`respray.contract.report.ProbeReport`). Written by the gate when it loads the pipeline."""
OBJECTS = "object_source"
"""Where the mask of an object comes from: `instances`, or `region` for the demo model, whose instances are weaker than its regions."""
