"""`rediss://`: a real Redis that speaks TLS only, fed by Node."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.errors import IntakeError
from orchestrator.intake.bullmq import BullmqIntake
from orchestrator.intake.redis_server import check_redis
from tests.faults.processes import Redis, produce
from tests.orchestrator.support import palette_job, put_photos, tiny_worker


def authority(folder: Path, called: str = "localhost") -> tuple[Path, Path, Path]:
    """A certificate for localhost that is its own authority: (certificate, key, authority)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, called)])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).add_extension(names, critical=False)
    signed = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    certificate, private = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return certificate, private, certificate


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path / "redis", authority(tmp_path))
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
        asyncio.run(check_redis(tls_redis.url.split("?")[0]))
