"""Whose certificates a server may show: the public authorities, and a company's own beside them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

import certifi


def with_public_authorities(company: Path) -> IO[bytes]:
    """A file of both for libraries that take one file, and in place of their own: botocore's `verify` is such a one.

    Args:
        company: PEM certificates of a company's own authorities.

    Returns:
        A private temporary file, which is removed when it is closed.

    Raises:
        OSError: One of the files cannot be read or written.
    """
    both = Path(certifi.where()).read_bytes() + b"\n" + company.read_bytes()
    bundle = tempfile.NamedTemporaryFile(prefix="respray-ca-", suffix=".pem")  # noqa: SIM115 (the caller closes it)
    bundle.write(both)
    bundle.flush()
    return bundle
