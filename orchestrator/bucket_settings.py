"""What is wrong with a bucket's address and keys, as far as their looks tell: consoles show both in more forms than one.

Cloudflare's dashboard, for one, shows R2's "S3 API" address with the bucket behind it (https://developers.cloudflare.com/r2/api/s3/api/).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# Hosts whose addresses have no path; of other stores (Supabase, for one) a path belongs to the endpoint.
_WITHOUT_PATH = (".r2.cloudflarestorage.com", ".amazonaws.com")
# R2's keys: 32 and 64 hexadecimal digits. AWS's identifiers begin so: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html.
_R2_ID, _R2_SECRET, _AWS_ID = r"[0-9a-f]{32}", r"[0-9a-f]{64}", r"(AKIA|ASIA)[A-Z0-9]{16}"


def address_problem(name: str, address: str, bucket: str) -> str | None:
    """A sentence on what is wrong with an endpoint, or None.

    Args:
        name: the setting.
        address: its value, or the address that it means.
        bucket: the bucket's name.
    """
    shown = re.sub(r"[^/\s]*@", "", address)  # somebody may have put a password there
    if name == "R2_ACCOUNT_ID" and not re.fullmatch(r"https://[\w.-]+", address):
        return f"{name} makes {shown!r}; accepted is the account's id alone, 32 hexadecimal digits"
    try:
        parts = urlsplit(address)
        host, path = parts.hostname or "", parts.path.strip("/")
        _ = parts.port
    except ValueError:
        return f"{name}={shown!r}: this is no address; accepted is https://HOST or https://HOST:PORT"
    if parts.scheme not in ("http", "https") or not host:
        return f"{name}={shown!r} has no scheme; accepted is https://HOST (or http://HOST:PORT)"
    if path and (path.split("/")[-1] == bucket or host.endswith(_WITHOUT_PATH)):
        return f"{name}={shown!r} has a bucket behind the host, which belongs into the setting of the bucket; accepted is https://{host}"
    if bucket and host.startswith(f"{bucket}.") and host.endswith(_WITHOUT_PATH):
        return f"{name}={shown!r} has the bucket in front of the host; accepted is https://{host.removeprefix(f'{bucket}.')}"
    return None


def keys_problem(access: str, secret: str, names: tuple[str, str]) -> str | None:
    """A sentence where the two keys of R2 or AWS are in each other's place, or None. Neither is shown."""
    swapped = (re.fullmatch(_R2_SECRET, access) and re.fullmatch(_R2_ID, secret)) or re.fullmatch(_AWS_ID, secret)
    return f"{' and '.join(names)} are in each other's place: the shorter one is the access key" if swapped else None
