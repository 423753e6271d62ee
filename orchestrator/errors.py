"""Every error of the orchestrator, as one family. A message says what was given and what is accepted.

`code` is stable and goes into events, manifests and metrics; `retryable` tells the worker whether the same work may succeed
later (a network that fails) or never will (a photo that is no photo). `worker/backend.py` makes those of the pipeline's client these.
"""

from __future__ import annotations

from collections.abc import Iterable


def megabytes(size: int) -> str:
    """A size in bytes as sentences say it: limits are read by people, who see MB in their folders."""
    return f"{size / 1e6:.4g} MB" if size >= 100_000 else f"{size / 1e3:.4g} kB"


class ResprayError(Exception):
    """Base of all errors of the orchestrator.

    Attributes:
        for_callers: What callers, callbacks and records are told: what they gave, and what is accepted.
        inside: What stands behind it in logs: where things lie, who was asked, other programs' words.
    """

    code = "error"
    retryable = False

    def __init__(self, for_callers: object = "", inside: str = "") -> None:
        super().__init__(f"{for_callers}{inside}")
        self.for_callers, self.inside = str(for_callers), inside


def unexpected(error: BaseException) -> InternalError:
    """What nobody has foreseen. Its words may be anything, paths of this machine among them."""
    return InternalError(f"an unexpected error in this worker ({type(error).__name__}); its log says more", f": {error!r:.300}")


class SettingsError(ResprayError):
    """The environment is missing a setting, contradicts itself, or holds a value that cannot be used."""

    code = "settings"


class JobError(ResprayError):
    """A job message that cannot be worked on. `problems` holds one sentence per field that is wrong."""

    code = "job"

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(self.problems))


class StorageError(ResprayError):
    """The store answered something that cannot be worked with, and repeating did not help."""

    code = "storage"
    retryable = True


class NotFound(StorageError):
    """There is no object with this key."""

    code = "not_found"
    retryable = False


class AccessDenied(StorageError):
    """The store refuses these keys or this bucket."""

    code = "access_denied"
    retryable = False


class TooLarge(StorageError):
    """The object is larger than what was allowed for it."""

    code = "too_large"
    retryable = False


class KeyUnusable(StorageError):
    """The store cannot hold an object of this name, or not beside those that it has."""

    code = "key_unusable"
    retryable = False


class Conflict(StorageError):
    """A conditional write was refused: somebody else wrote the object since it was last looked at."""

    code = "conflict"
    retryable = False


class Superseded(ResprayError):
    """A newer version of the same job has stored its result while this one was at work; the newer result stays."""

    code = "superseded"


class Stopped(ResprayError):
    """An item that was not begun, because somebody stopped its job; or a job that was ended by a signal."""

    code = "stopped"


class PhotoRefused(ResprayError):
    """This photo, mask or texture cannot be edited: not an image, too large, not supported, or the pipeline refused it."""

    code = "photo"


class PipelineUnavailable(ResprayError):
    """Triton did not answer in time, is starting, or went away."""

    code = "pipeline_unavailable"
    retryable = True


class PipelineFailed(ResprayError):
    """The pipeline answered with an error of its own, twice: a fault that this photo brings out and that repeating does not cure."""

    code = "pipeline_failed"


class OutOfMemory(ResprayError):
    """The accelerator ran out of memory; fewer photos at the same time may fit."""

    code = "out_of_memory"
    retryable = True


class AddressRefused(ResprayError):
    """An address that must not be asked: it is not public, not https, or carries a password."""

    code = "address"


class LinkRefused(ResprayError):
    """A link of the sender's that cannot be used: its server refuses, or what it holds is not accepted."""

    code = "link"


class LinkTooLarge(LinkRefused):
    """What is behind a link has more bytes than were asked for."""


class LinkUnavailable(ResprayError):
    """The server behind a link of the sender's did not answer, or not in time."""

    code = "link_unavailable"
    retryable = True


class IntakeError(ResprayError):
    """The queue cannot be reached or used with these settings."""

    code = "intake"
    retryable = True


class JobsFailed(ResprayError):
    """A source that ends by itself is worked off, and not all of its jobs were completed."""

    code = "jobs_failed"


class InternalError(ResprayError):
    """A fault of this program; the log has the traceback."""

    code = "internal"
    retryable = True


class Poisoned(ResprayError):
    """A job that was delivered more often than allowed and never came to its end: it takes its workers down."""

    code = "poisoned"
