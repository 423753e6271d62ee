"""What is stored of one item: its files with checksums, what was measured, and whether its callback is owed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from respray.contract.report import PhotoReport

Status = Literal["completed", "failed"]
CallbackState = Literal["owed", "delivered", "refused", "gone", "expired"]


class Record(BaseModel):
    """Base: unknown fields are ignored, so that a record of a newer version can still be read."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class StoredFile(Record):
    """One file that was uploaded and verified; `sent`: to a link of the sender's, of which `key` is all but the query."""

    key: str
    size: int
    digest: str
    sent: bool = False


class CallbackRecord(Record):
    """Where an item's callback stands. `attempt` is what its X-Idempotency-Key counts,
    `message` the name of the message that wanted it told. Times are Unix times in seconds.

    Attributes:
        url: Whom to tell.
        event_id: The webhook-id of every attempt.
        idempotency_prefix: The first part of X-Idempotency-Key.
        state: What came of it so far.
        attempts: Requests that were made.
        status_code: The receiver's last HTTP status.
        error: Why it is not delivered.
        holder: The worker that delivers it while the lease lasts.
        leased_until: The end of the lease.
        not_before: When the receiver wants to be asked again.
        owed_since: When it was first owed.
    """

    url: str
    event_id: str
    idempotency_prefix: str
    attempt: int = 0
    message: str = ""
    state: CallbackState = "owed"
    attempts: int = 0
    status_code: int | None = None
    error: str | None = None
    holder: str = ""
    leased_until: float = 0.0
    not_before: float = 0.0
    owed_since: float = 0.0


class ItemRecord(Record):
    """What came of one item.

    Attributes:
        output_key: Where the first output is stored; None where it was sent to a link.
        output_url: That link without its query.
        outputs: Key or link of every output, by its name.
        links: For how many seconds links to the results are to work, where the job wants some. They are made when they are handed out and
            stand in no record.
        version: The number of its message (`versions.py`).
        contents: What was read: ETag by key, SHA-256 by the label of what is not in the store.
    """

    idx: int
    status: Status
    fingerprint: str
    output_key: str | None = None
    outputs: dict[str, str] = {}
    preview_key: str | None = None
    previews: dict[str, str] = {}
    output_url: str | None = None
    preview_url: str | None = None
    links: int | None = None
    masks: dict[str, list[str]] = {}
    files: list[StoredFile] = []
    error: str | None = None
    error_code: str | None = None
    report: PhotoReport | None = None
    timings: dict[str, float] = {}
    attempt: int = 1
    worker: str = ""
    finished_at: float = 0.0
    outputs_map: bool = False
    version: int = 0
    contents: dict[str, str] = {}
    callback: CallbackRecord | None = None

    def callback_body(self) -> dict[str, Any]:
        """The JSON of this item's callback (docs/reference/contract.md, "Callbacks")."""
        body = {"idx": self.idx, "status": self.status, "output_key": self.output_key, "preview_key": self.preview_key, "error": self.error}
        sent = {"output_url": self.output_url, "preview_url": self.preview_url}
        body |= {name: url for name, url in sent.items() if url is not None}
        return body | ({"outputs": self.outputs} if self.outputs_map else {})


def record_key(prefix: str, idx: int) -> str:
    """Key of an item's record.

    Args:
        prefix: The job's outputs prefix.
        idx: The photo's index in its job.
    """
    return f"{prefix}manifest/{idx}.json"
