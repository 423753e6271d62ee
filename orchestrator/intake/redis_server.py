"""A look at the Redis of a queue before its library connects: what is wrong is said in one line."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import redis.asyncio
from redis.exceptions import RedisError

from orchestrator.errors import IntakeError

ANSWER_SECONDS = 10.0
"""How long a Redis may take to answer before it counts as one that hangs."""


async def check_redis(url: str) -> None:
    """Raise IntakeError, without the password, when Redis cannot be used."""
    client: Any = redis.asyncio.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
    try:
        await client.ping()
    except (RedisError, OSError, ValueError) as error:
        parts = urlsplit(url)
        where = parts.netloc.rpartition("@")[2] + parts.path  # the whole address is a secret
        raise IntakeError(f"REDIS_URL: no usable Redis at {where}: {error}") from None
    finally:
        await client.aclose()
