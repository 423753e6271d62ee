"""A job as the worker sees it, whatever its message looked like. `parser.py` makes these; nothing here knows a format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from orchestrator.jobs import keys
from orchestrator.jobs.sources import Destination, Source, StoreKey
from respray.contract.photo_file import ImageFormat
from respray.contract.request import PhotoRequest


@dataclass(frozen=True)
class Target:
    """Where one output goes.

    Attributes:
        name: The output's name in the request, and the rule's id in a rule job.
        to: Its storage key, or a link.
        format: What its bytes are.
        preview: Where its preview goes; None: it has none.
    """

    name: str
    to: Destination
    format: ImageFormat
    preview: Destination | None = None


@dataclass(frozen=True)
class Item:
    """One photo: what to read, what to ask of the pipeline, where the results go.

    Attributes:
        idx: The photo's index in its job.
        photo: Where the photo comes from.
        targets: Where the outputs go, in the order of the request's.
        request: What the pipeline is asked for.
        attachments: Where masks and textures come from, in the order in which `request` refers to them by index.
        mask_names: Each concept's name as a part of its masks' keys.
        warnings: What its message says in vain, for its report.
        reuse: Segments of this photo are read and kept. It changes nothing about the result.
    """

    idx: int
    photo: Source
    targets: tuple[Target, ...]
    request: PhotoRequest
    attachments: tuple[Source, ...]
    mask_names: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    reuse: bool = True

    @property
    def preview(self) -> Destination | None:
        """Where the preview of the first output goes; None: there is none."""
        return self.targets[0].preview

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that is read: the photo, then its attachments."""
        return (self.photo, *self.attachments)

    @property
    def keys_read(self) -> list[str]:
        """Storage keys among the sources."""
        return [source.key for source in self.sources if isinstance(source, StoreKey)]

    def fingerprint(self) -> str:
        """Changes when anything about the wanted result changes: a stored result with the same fingerprint needs no second run."""
        targets = [(t.name, t.to.identity, t.format) for t in self.targets]
        attachments = [source.identity for source in self.attachments]
        previews = [t.preview.identity if t.preview else None for t in self.targets]
        # What its message says in vain is told in the result's report.
        parts = (self.photo.identity, targets, previews, attachments, *self.warnings)
        # Where segments come from is no part of it.
        request = self.request.model_dump_json(exclude={"known", "keep_segments", "call"})
        return sha256(json.dumps(parts).encode() + request.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Job:
    """One job, whatever its message looked like.

    Attributes:
        callback_url: Whom to tell of each item; None: nobody.
        idempotency_prefix: The first part of its callbacks' idempotency keys.
        concurrency: Its photos that may be in the pipeline at the same time; None: as many as the worker allows.
        outputs_map: Callbacks carry every output's key, not only the first's.
        warnings: What whoever runs the worker should know of it.
        links: For how many seconds presigned links to the results work, where callbacks, manifest and answer are to have some.
    """

    job_id: str
    user_id: str
    items: tuple[Item, ...]
    callback_url: str | None = None
    idempotency_prefix: str = ""
    concurrency: int | None = None
    outputs_map: bool = False
    warnings: tuple[str, ...] = ()
    links: int | None = None

    @property
    def prefix(self) -> str:
        """Where the job's results and records lie."""
        return keys.outputs_prefix(self.user_id, self.job_id)

    def mask_key(self, item: Item, concept: str, instance: int) -> str:
        """Key of an instance mask.

        Args:
            item: The photo.
            concept: The concept's name.
            instance: The instance, from 1.
        """
        return keys.mask_key(self.user_id, self.job_id, item.mask_names[concept], item.idx, instance)
