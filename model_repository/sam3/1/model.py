"""Embedded target on a GPU only: image encoder and concept decoder in one process. Elsewhere `sam3` is an ensemble of the two."""

from respray.triton.models.joined_model import JoinedModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
