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
    """Where one output goes. `name` is the output's name in the request (and the rule's id in a rule job)."""

    name: str
    key: str
    format: keys.Format


@dataclass(frozen=True)
class Item:
    """One photo: what to read, what to ask of the pipeline, where the results go.

    `attachment_keys` are storage keys of masks and textures, in the order in which `request` refers to them by index.
    """

    idx: int
    input_key: str
    targets: tuple[Target, ...]
    preview_key: str | None
    request: PhotoRequest
    attachment_keys: tuple[str, ...]
    mask_names: Mapping[str, str]

    def fingerprint(self) -> str:
        """Changes when anything about the wanted result changes: a stored result with the same fingerprint needs no second run."""
        parts = (self.input_key, [(t.name, t.key, t.format) for t in self.targets], self.preview_key, self.attachment_keys)
        return sha256(json.dumps(parts).encode() + self.request.model_dump_json().encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Job:
    """One job, whatever its message looked like. `outputs_map`: callbacks carry every output's key, not only the first's."""

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
        """Key of an instance mask; instances count from 1."""
        return keys.mask_key(self.user_id, self.job_id, item.mask_names[concept], item.idx, instance)
