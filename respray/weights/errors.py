"""Errors of running Respray: each says what was given and what is accepted or what to do."""

from __future__ import annotations


class OperationsError(Exception):
    """Base of all errors of this package."""


class PresetError(OperationsError):
    """The presets file is wrong, or a model was named that it does not have."""


class WeightsError(OperationsError):
    """Weights could not be brought to the volume, or are not what they should be."""


class NothingThereError(WeightsError):
    """The bucket can be read and has nothing under the prefix."""


class GatedModelError(WeightsError):
    """The model hub refuses the download: the user has to request access or give a token."""


class DemoRefusedError(WeightsError):
    """The demo model was about to be used where the real one is required."""


class VolumeError(WeightsError):
    """The models' volume cannot be written: it belongs to somebody else, is mounted read-only or is full."""


class VolumeLockError(WeightsError):
    """Another worker holds the volume for longer than this one wants to wait."""
