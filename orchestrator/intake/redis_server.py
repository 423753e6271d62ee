"""A look at the Redis of a queue, before its library connects and while it works: what is wrong is said in one line.

Asked is what a queue's library will ask: a script that writes, with the queue's own keys beside it. A replica, a cluster and a user with
too few rights answer a PING, and refuse that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import redis.asyncio
from redis.exceptions import ClusterCrossSlotError, MovedError, NoPermissionError, ReadOnlyError, RedisError, ResponseError

from orchestrator.errors import IntakeError
from orchestrator.intake.repeated_lines import OncePerWhile

log = logging.getLogger(__name__)
log.addFilter(OncePerWhile())

ANSWER_SECONDS = 10.0
"""How long a Redis may take to answer before it counts as one that hangs."""
MAX_CLOCK_OFF = 5.0
"""Seconds that this machine's clock may differ from Redis' before that is said: a third of the shortest wait for the next attempt."""
_WRITE = "return redis.call('del', KEYS[1])"
"""Of a key that nobody has. No memory is taken, so that a Redis that is full may still be emptied."""
_REMEDIES: tuple[tuple[type[RedisError], str], ...] = (
    (MovedError, "it is a cluster, which spreads a queue's keys over its nodes; use a Redis that is none"),
    (ClusterCrossSlotError, "it is a cluster, which spreads a queue's keys over its nodes; use a Redis that is none"),
    (ReadOnlyError, "it is a replica; REDIS_URL is to name the primary"),
    (NoPermissionError, "give its user all commands on the queue's keys (ACL SETUSER NAME ~PATTERN &* +@all)"),
)
_TOO_OLD = "it is older than Redis 6; accepted is Redis 6.2 or later, or Valkey"


async def check_redis(url: str, keys: Sequence[str], setting: str = "REDIS_URL") -> None:
    """Raise IntakeError, without the password, when Redis cannot be used.

    Args:
        url: Its address.
        keys: Keys that the queue's library will use; the first one is of our own and never written.
        setting: Where the address stands.
    """
    client: Any = redis.asyncio.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS)
    try:
        await client.ping()
        await client.register_script(_WRITE)(keys=list(keys))
    except (RedisError, OSError, ValueError) as error:
        parts = urlsplit(url)
        where = parts.netloc.rpartition("@")[2] + parts.path  # the whole address is a secret
        remedy = next((f"; {said}" for kind, said in _REMEDIES if isinstance(error, kind)), "")
        if "unknown command" in str(error).lower():
            remedy = f"; {_TOO_OLD if 'hello' in str(error).lower() else 'a command that the queue needs is disabled or renamed there'}"
        said = str(error).partition(" script: ")[0]  # Redis tells which of its scripts it was
        raise IntakeError(f"{setting}: no usable Redis at {where}: {said}{remedy}") from None
    finally:
        await client.aclose()


def ask(pipe: Any, key: str) -> Any:
    """Begin a pipeline of redis-py, blocking or not, with what `refusal` reads: a small write, and Redis' time.

    A Redis that is full, a replica since a failover, or cannot save answers what only reads, and gives and takes no jobs.

    Args:
        pipe: The pipeline.
        key: Of our own, beside the queue's; gone at once.
    """
    return pipe.set(key, "", px=1).time()


def refusal(answers: Sequence[Any]) -> str | None:
    """Why a Redis that answers is of no use, or None. A clock that is not Redis' is logged: queues' libraries count by this machine's.

    Args:
        answers: Of a pipeline that `ask` began, errors included.
    """
    error = next((answer for answer in answers if isinstance(answer, Exception)), None)
    if error is not None:
        return no_answer(error)
    seconds, microseconds = answers[1]
    off = time.time() - seconds - microseconds / 1e6
    if abs(off) > MAX_CLOCK_OFF:
        log.warning(
            "this machine's clock is %s Redis' by more than %.0f s, and jobs come again that much too early or too late: "
            "set it (timedatectl set-ntp true; of a container, the host's)",
            "ahead of" if off > 0 else "behind",
            MAX_CLOCK_OFF,
        )
    return None


def no_answer(error: Exception) -> str:
    """For `/readyz`: what an error of redis-py says of the server."""
    return f"Redis {'takes no jobs' if isinstance(error, ResponseError) else 'does not answer'}: {error}"
