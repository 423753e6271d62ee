"""`respray api` from its start to its end: listens first, so that a load balancer sees it start, and opens the worker behind it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from orchestrator.api.app import make_app
from orchestrator.api.connections import GuardedProtocol
from orchestrator.api.gate import is_loopback
from orchestrator.api.keys import read_keys
from orchestrator.api.service import ApiService
from orchestrator.api.streams import tell
from orchestrator.errors import SettingsError
from orchestrator.service.open_worker import WorkerOptions
from orchestrator.service.session import run_session
from orchestrator.settings import Settings
from respray.observe.events import Events
from respray.observe.metrics import Metrics
from respray.observe.redaction import Redactor

log = logging.getLogger(__name__)

DEFAULT_LISTEN = "127.0.0.1:8080"
MAX_CONNECTIONS = 2000
"""Connections at once, where the process may open twice as many files; a request on one beyond is answered with 503."""
MAX_HEADER_BYTES = 32 << 10
KEEP_ALIVE_SECONDS = 15
END_SECONDS = 2
"""How long open connections may take at the end, when every job is done or handed back."""
_LISTEN = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/\s]*)):(\d{1,5})")


@dataclass(frozen=True)
class Address:
    """A host and a port."""

    host: str
    port: int


def parse_listen(text: str) -> Address:
    """HOST:PORT, `[::1]:PORT`, or `:PORT` for all addresses. Raises SettingsError."""
    found = _LISTEN.fullmatch(text.strip())
    if found is None or int(found[3]) > 65535:
        raise SettingsError(f"--listen {text!r} is no address; accepted is HOST:PORT, as {DEFAULT_LISTEN} or 0.0.0.0:8080")
    return Address(found[1] or found[2] or "0.0.0.0", int(found[3]))


def chosen_address(settings: Settings) -> Address:
    """Where to listen: API_LISTEN, or PORT as Runpod's load balancing sets it, or this machine only."""
    if settings.api_listen:
        return parse_listen(settings.api_listen)
    return Address("0.0.0.0", settings.port) if settings.port else parse_listen(DEFAULT_LISTEN)


async def run_api(
    settings: Settings,
    options: WorkerOptions,
    events: Events,
    metrics: Metrics,
    *,
    redactor: Redactor,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM. Raises SettingsError where it would listen to others without keys, and as `run_session`.

    `ready` is called with the server's address once the worker is open.
    """
    address = chosen_address(settings)
    keys = read_keys(settings.api_keys.get_secret_value() if settings.api_keys else None, settings.api_keys_file)
    if not keys and not is_loopback(address.host):
        raise SettingsError(
            f"listening on {address.host} needs keys, or everybody who reaches it could use it: make one with "
            "`respray api key --name NAME --user USER` and set API_KEYS to the line that it prints; without keys, listen on 127.0.0.1"
        )
    service = ApiService(settings, keys, options.palette)
    events.listen(tell)
    app = make_app(service)
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(listening(app, address))
        # https://docs.runpod.io/serverless/load-balancing/overview: health may be asked for on a port of its own.
        if settings.port_health not in (None, port):
            await stack.enter_async_context(listening(app, Address(address.host, settings.port_health or 0)))
        url = f"http://[{address.host}]:{port}" if ":" in address.host else f"http://{address.host}:{port}"
        events.worker("initializing", url)
        log.info("listening on %s; its description is at /docs", url)
        service.when_ready = (lambda: ready(url)) if ready else None
        await run_session(settings, options, service.take_jobs, events, metrics, redactor=redactor)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The session reacts to signals; the server ends when the session has."""
        yield


@contextlib.asynccontextmanager
async def listening(app: ASGIApp, address: Address, protocol: type[asyncio.Protocol] = GuardedProtocol) -> AsyncIterator[int]:
    """Serve an application inside the block; yields the port. Raises SettingsError for an address that cannot be used."""
    bound = _bind(address)
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_most_connections(),
        backlog=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=END_SECONDS,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        while not server.started:
            if serving.done():
                serving.result()
                raise SettingsError(f"nothing can be served on {address.host}:{address.port}")
            await asyncio.sleep(0.01)
        yield int(bound.getsockname()[1])
    finally:
        server.should_exit = True
        await serving


def _most_connections() -> int:
    """MAX_CONNECTIONS, or half of the files that this process may open: the store's files need the others.

    Many systems let a process open 1,024 files unless it asks for more (getrlimit(2)).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MAX_CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)


def _bind(address: Address) -> socket.socket:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, where = found[0]
        with contextlib.ExitStack() as stack:
            bound = stack.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(where)
            stack.pop_all()
    except OSError as error:
        raise SettingsError(
            f"{address.host}:{address.port} cannot be listened on ({error.strerror or error}); port 0 takes any free one"
        ) from None
    return bound
