"""Whose certificates a server may show: the public authorities, and a company's own beside them."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import IO

import certifi


def unusable(company: Path) -> str | None:
    """Why a file of authorities cannot be used, or None: libraries that meet one say neither its name nor the setting's."""
    try:
        ssl.create_default_context(cafile=str(company))
    except OSError as error:  # SSLError is one
        return "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else str(error.strerror)
    return None


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
