"""Embedded target only: one exported graph on ONNX Runtime. The other targets run the same graph in Triton's own backends."""

from respray.triton.models.graph_model import GraphModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
