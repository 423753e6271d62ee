"""Errors of the segmentation package: all carry one sentence for the user that says what was given and what is accepted."""


class SegmentationError(Exception):
    """Base of the package's errors."""


class CheckpointError(SegmentationError):
    """The checkpoint cannot be read or is not a model that the graphs cover."""


class SpecError(SegmentationError):
    """The graphs' folder or its `spec.json` is missing, damaged or of another version."""


class ParityError(SegmentationError):
    """The exported graphs do not give PyTorch's answers."""


class TensorError(SegmentationError):
    """An array has another shape or type than the model takes."""


class DeviceError(SegmentationError):
    """The processor that was asked for cannot be used here."""
