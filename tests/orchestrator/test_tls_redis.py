"""`rediss://`: a real Redis that speaks TLS only, fed by Node."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu.exceptions import OperationalError

from orchestrator.errors import IntakeError
from orchestrator.intake.bullmq import BullmqIntake
from orchestrator.intake.celery import make_app
from orchestrator.intake.redis_server import check_redis
from tests.certificates import certify
from tests.faults.processes import Redis, produce
from tests.orchestrator.support import palette_job, put_photos, tiny_worker


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path / "redis", certify(tmp_path))
    yield server
    server.stop()


def test_bullmq_over_tls_and_no_trust_without_the_authority(tmp_path: Path, tls_redis: Redis) -> None:
    store = tmp_path / "store"
    put_photos(store, "tls", 1)
    produce(tls_redis, "tls", [palette_job("tls", 1)])

    async def work() -> None:
        async with tiny_worker(store) as worker:
            stop = asyncio.Event()
            running = asyncio.create_task(BullmqIntake(tls_redis.url, "tls", 1).run(worker, stop))
            deadline = time.monotonic() + 20
            while not (store / "outputs/u_abc/tls/manifest.json").is_file() and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
            stop.set()
            await asyncio.wait_for(running, 20)

    asyncio.run(work())
    assert (store / "outputs/u_abc/tls/manifest.json").is_file()
    with pytest.raises(IntakeError, match="certificate"):
        asyncio.run(check_redis(tls_redis.url.split("?")[0], ["tls"]))


def test_celery_checks_certificates_unasked_for_messages_and_for_results(tls_redis: Redis) -> None:
    good, bad = (make_app(url, "tls", 60) for url in (tls_redis.url, tls_redis.url.split("?")[0]))
    with good.connection_for_read() as connection:
        connection.ensure_connection(max_retries=1)
    assert good.backend.client.ping()
    with bad.connection_for_read() as connection, pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
        connection.ensure_connection(max_retries=1)
    with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        bad.backend.client.ping()
