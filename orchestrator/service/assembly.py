"""The one way to make a Worker: from settings, and from parts that commands, benchmarks and tests each bring their own of."""

from __future__ import annotations

import os
import random
import socket
from dataclasses import dataclass, field

from orchestrator.callbacks.client import CallbackClient, Schedule
from orchestrator.callbacks.deliverer import Deliverer
from orchestrator.jobs.name_catalog import Catalog, load_catalog
from orchestrator.net.address_policy import AddressPolicy, PinnedTransport, trust
from orchestrator.net.links import LinkClient, LinkOptions
from orchestrator.records.records import Records
from orchestrator.settings import Settings
from orchestrator.storage.threads import AsyncStorage
from orchestrator.worker.backend import PATIENCE, InferenceBackend, ThrottledBackend
from orchestrator.worker.kept_segments import KeptSegments
from orchestrator.worker.worker import Worker
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor


def worker_name() -> str:
    """A name that no other worker has, also after a restart: leases are held under it."""
    return f"{socket.gethostname()}-{os.getpid()}-{random.getrandbits(32):08x}"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a worker is made of besides its settings. Whoever opened `storage`, `pipeline`, `links` and `callbacks` closes
    them after the worker.

    `attempts` replaces the settings' JOB_ATTEMPTS; `patience` are the seconds that a photo waits for Triton to come back.
    """

    storage: AsyncStorage
    pipeline: InferenceBackend
    links: LinkClient
    callbacks: CallbackClient | None
    events: Events
    metrics: Metrics
    redactor: Redactor
    catalog: Catalog = field(default_factory=load_catalog)
    name: str = field(default_factory=worker_name)
    attempts: int | None = None
    patience: float = PATIENCE


def callback_client(settings: Settings, metrics: Metrics, schedule: Schedule | None = None) -> CallbackClient | None:
    """The client that signs and sends; None without GPU_CALLBACK_SECRET: then nothing is sent and all callbacks stay owed."""
    if settings.callback_secret is None:
        return None
    policy = AddressPolicy.parse(settings.callback_allow_hosts)
    retried = metrics.retries.labels("callback").inc
    secret = settings.callback_secret.get_secret_value()
    transport = PinnedTransport(policy, verify=trust(settings.callback_ca_file or settings.ssl_cert_file))
    return CallbackClient(secret, settings.callback_timeout, policy, schedule=schedule, transport=transport, on_retry=retried)


def link_client(settings: Settings, metrics: Metrics) -> LinkClient:
    """The client that reads photos from links and sends results to them."""
    policy = AddressPolicy.parse(settings.input_allow_hosts, "INPUT_ALLOW_HOSTS", "link")
    transport = PinnedTransport(policy, verify=trust(settings.callback_ca_file or settings.ssl_cert_file))
    return LinkClient(policy, LinkOptions(settings.input_timeout), transport, metrics.retries.labels("link").inc)


def make_deliverer(settings: Settings, client: CallbackClient | None, records: Records, metrics: Metrics, name: str) -> Deliverer:
    """The deliverer of callbacks that are written down in records."""
    return Deliverer(client, records, worker=name, metrics=metrics, timeout=settings.callback_timeout)


def make_worker(settings: Settings, parts: Parts) -> Worker:
    """A worker of these parts. It is not asked whether the store and the pipeline are ready."""
    records = Records(parts.storage, parts.redactor)
    return Worker(
        catalog=parts.catalog,
        storage=parts.storage,
        records=records,
        backend=ThrottledBackend(parts.pipeline, settings.batch_concurrency, parts.metrics, parts.events, parts.patience),
        links=parts.links,
        deliverer=make_deliverer(settings, parts.callbacks, records, parts.metrics, parts.name),
        events=parts.events,
        metrics=parts.metrics,
        name=parts.name,
        kept=KeptSegments(parts.storage, settings.segments_days),
        workers_api_url=settings.workers_api_url,
        concurrency=settings.batch_concurrency,
        attempts=parts.attempts or settings.job_attempts,
        grace=settings.grace_period,
        budget=settings.memory_budget << 20 if settings.memory_budget else None,
    )
