"""Which addresses of a message may be asked, and a transport that connects only to what was checked.

URLs of callbacks, photos and results come from a message, so they may point into our own network (SSRF). Accepted are https to public
addresses, and hosts that the operator lists. A name is resolved once, every address it has is checked, and the connection goes to the
address that was checked: a name that resolves differently the next time (DNS rebinding) gains nothing. Host header, SNI and certificate
check keep the name.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx

from orchestrator.errors import AddressRefused, SettingsError
from orchestrator.net.name_lookup import NameLookup

Resolver = Callable[[str, int], Awaitable[list[str]]]
_PORTS = {"https": 443, "http": 80}
MAX_CONNECT_SECONDS = 3.0
"""Until a host's next address is tried. A lost packet is sent again after one second (https://www.rfc-editor.org/rfc/rfc6298)."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_IPV6_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that IANA has given out: what is private, local to a link or site, or reserved lies outside."""
# What lies inside, or in IPv4, and is no receiver's either. `ipaddress.is_global` lacks some of these in some version of Python.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # shared by the customers of a provider
        "168.63.129.16/32",  # what Azure's machines ask for their own settings (learn.microsoft.com, "What is IP address 168.63.129.16?")
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "2001::/23",
        "2001:db8::/32",
        "3fff::/20",
    )
)


def is_public(address: str) -> bool:
    """Whether an IP address is on the public internet, also when it is an IPv4 address in IPv6 clothes."""
    ip = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip not in _IPV6_UNICAST:
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not any(ip in network for network in _NOT_PUBLIC)


def _is_no_host(entry: str) -> bool:
    """Whether an entry of a list of hosts can be none: a URL, a network, a pattern, or a port that is no number."""
    named = re.fullmatch(r"(?:\[[^\]]*\]|[^:]*)(?::([^:]*))?", entry)  # without brackets, two colons are an IPv6 address
    port = named[1] if named is not None else None
    unusable = port is not None and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536)
    return unusable or any(character in "/@*;" or character.isspace() for character in entry)


@dataclass(frozen=True)
class AddressPolicy:
    """Which addresses may be called.

    Attributes:
        allowed: `host` (any port) or `host:port`, each of which may be private and may speak http.
        setting: What `allowed` is set by.
        subject: What the addresses are for, for errors.
    """

    allowed: frozenset[str] = frozenset()
    setting: str = "CALLBACK_ALLOW_HOSTS"
    subject: str = "callback"

    @classmethod
    def parse(cls, text: str, setting: str = "CALLBACK_ALLOW_HOSTS", subject: str = "callback") -> AddressPolicy:
        """Read the setting of allowed hosts.

        Args:
            text: Comma-separated `host[:port]`.
            setting: Its name.
            subject: What the addresses are for, for errors.

        Raises:
            SettingsError: Where an entry is no host.
        """
        hosts = [part.strip().lower() for part in text.split(",") if part.strip()]
        for host in hosts:
            if _is_no_host(host):
                raise SettingsError(f"{setting}: {host!r} is no host; accepted is a comma-separated list of host or host:port")
        return cls(frozenset(hosts), setting, subject)

    def is_allowed(self, host: str, port: int) -> bool:
        """Whether the operator listed this host."""
        name = host.lower().strip("[]")
        return bool({name, f"{name}:{port}", f"[{name}]:{port}", f"[{name}]"} & self.allowed)

    def check_url(self, url: httpx.URL) -> None:
        """Raise AddressRefused for what can be refused without resolving anything."""
        if url.userinfo:
            raise AddressRefused(f"the {self.subject} URL contains a user name or password; accepted is a URL without")
        if url.scheme not in _PORTS or not url.host:
            raise AddressRefused(f"the {self.subject} URL must begin with https://, not {url.scheme}://")
        if url.scheme != "https" and not self.is_allowed(url.host, port_of(url)):
            raise AddressRefused(f"{self.subject}s go to https only; {url.host}:{port_of(url)} is not in {self.setting}")

    def check_addresses(self, host: str, port: int, addresses: Iterable[str]) -> None:
        """Raise AddressRefused when any address of a host that is not listed is not public."""
        if self.is_allowed(host, port):
            return
        for address in addresses:
            if not is_public(address):
                raise AddressRefused(f"{host}:{port} resolves to {address}, which is not public; list it in {self.setting} if it is yours")


def port_of(url: httpx.URL) -> int:
    """The port of a URL, given or implied."""
    return url.port or _PORTS.get(url.scheme, 0)


@cache
def public_authorities() -> ssl.SSLContext:
    """The public authorities, for all clients of a process: to read them takes 25 ms of a core."""
    return httpx.create_ssl_context(trust_env=False)


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Whose certificates servers may show: the public authorities, and those in a company's own `ca_file` beside them.

    Raises:
        SettingsError: The file cannot be read, or holds no certificate.
    """
    if ca_file is None:
        return public_authorities()
    context = httpx.create_ssl_context(trust_env=False)
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:  # ssl.SSLError is one
        raise SettingsError(f"CALLBACK_CA_FILE (or SSL_CERT_FILE): {ca_file} is no readable file of PEM certificates ({error})") from error
    return context


def _leaving_time(timeouts: Mapping[str, float | None], addresses: int) -> dict[str, float | None]:
    """Times of a request whose host has further addresses: one that is silent (IPv6 that leads nowhere) leaves time for the others."""
    connect = timeouts.get("connect")
    return {**timeouts, "connect": MAX_CONNECT_SECONDS if connect is None else min(MAX_CONNECT_SECONDS, connect / addresses)}


class PinnedTransport(httpx.AsyncBaseTransport):
    """Resolves, checks, and connects to a checked address. Raises AddressRefused, httpx.ConnectError and what httpx raises."""

    def __init__(self, policy: AddressPolicy, resolver: Resolver | None = None, verify: ssl.SSLContext | None = None) -> None:
        self._policy = policy
        self._resolver = resolver or NameLookup()
        # No connection is kept: a kept one to the same address could belong to another host's TLS session.
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=0)
        self._inner = httpx.AsyncHTTPTransport(verify=verify or public_authorities(), limits=limits, trust_env=False, retries=0)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request to the first checked address that can be connected to."""
        url, host, port = request.url, request.url.host, port_of(request.url)
        self._policy.check_url(url)
        try:
            addresses = await self._resolver(host, port)
        except (OSError, UnicodeError) as error:
            raise httpx.ConnectError(f"{host} has no address ({error})", request=request) from error
        self._policy.check_addresses(host, port, addresses)
        failure: httpx.ConnectError | httpx.ConnectTimeout | None = None
        for number, address in enumerate(addresses, 1):
            extensions = {**request.extensions, "sni_hostname": host}
            if number < len(addresses):
                extensions["timeout"] = _leaving_time(extensions.get("timeout", {}), len(addresses))
            pinned = httpx.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,  # carries Host with the name
                stream=request.stream,
                extensions=extensions,
            )
            try:
                return await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        raise failure or httpx.ConnectError(f"{host} has no address", request=request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()
