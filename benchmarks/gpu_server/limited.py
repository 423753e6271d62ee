"""The same figures with as much memory as a 16 GB card can give ONNX Runtime: a third for the encoder, the rest for the decoder."""

from benchmarks.gpu_server.plan import Findings, Plan, gpu_mib
from benchmarks.gpu_server.runtime import Loaded, measure


def run(plan: Plan, findings: Findings) -> None:
    """Load with the limit and measure: what does not fit is an error of its own line."""
    loaded = Loaded(plan, memory=int(plan.memory_gib * 2**30))
    findings.note({"memory_gib": plan.memory_gib, "gpu_mib_loaded": gpu_mib(), "parity": loaded.parity()})
    measure(loaded, plan, findings)
