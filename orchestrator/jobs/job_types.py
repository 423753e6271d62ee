"""A job as the worker sees it, whatever its message looked like. `parser.py` makes these; nothing here knows a format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from orchestrator.jobs import keys
from respray.contract.request import PhotoRequest


@dataclass(frozen=True)
class Target:
    """Where one output goes.

    Attributes:
        name: The output's name in the request, and the rule's id in a rule job.
        key: Its storage key.
        format: What its bytes are.
    """

    name: str
    key: str
    format: keys.Format


@dataclass(frozen=True)
class Item:
    """One photo: what to read, what to ask of the pipeline, where the results go.

    Attributes:
        idx: The photo's index in its job.
        input_key: Storage key of the photo.
        targets: Where the outputs go, in the order of the request's.
        preview_key: Where the preview of the first output goes; None: there is none.
        request: What the pipeline is asked for.
        attachment_keys: Storage keys of masks and textures, in the order in which `request` refers to them by index.
        mask_names: Each concept's name as a part of its masks' keys.
        reuse: Segments of this photo are read and kept. It changes nothing about the result.
    """

    idx: int
    input_key: str
    targets: tuple[Target, ...]
    preview_key: str | None
    request: PhotoRequest
    attachment_keys: tuple[str, ...]
    mask_names: Mapping[str, str]
    reuse: bool = True

    def fingerprint(self) -> str:
        """Changes when anything about the wanted result changes: a stored result with the same fingerprint needs no second run."""
        # Where segments come from is no part of it.
        request = self.request.model_dump_json(exclude={"known", "keep_segments"})
        parts = (self.input_key, [(t.name, t.key, t.format) for t in self.targets], self.preview_key, self.attachment_keys)
        return sha256(json.dumps(parts).encode() + request.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Job:
    """One job, whatever its message looked like.

    Attributes:
        callback_url: Whom to tell of each item; None: nobody.
        idempotency_prefix: The first part of its callbacks' idempotency keys.
        concurrency: Its photos that may be in the pipeline at the same time; None: as many as the worker allows.
        outputs_map: Callbacks carry every output's key, not only the first's.
    """

    job_id: str
    user_id: str
    items: tuple[Item, ...]
    callback_url: str | None = None
    idempotency_prefix: str = ""
    concurrency: int | None = None
    outputs_map: bool = False

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
