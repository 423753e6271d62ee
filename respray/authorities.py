"""Whose certificates a server may show: the public authorities, and a company's own beside them."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from types import TracebackType

import certifi


class AuthorityFile:
    """Certificates in memory, for libraries that take the name of a file. Nothing is left behind, however the process ends."""

    def __init__(self, certificates: bytes) -> None:
        """PEM certificates; they are there until `close`."""
        self._file = os.fdopen(os.memfd_create("respray-ca", os.MFD_CLOEXEC), "wb", buffering=0)
        self._file.write(certificates)
        self.name = f"/proc/self/fd/{self._file.fileno()}"

    def __enter__(self) -> AuthorityFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def unusable(company: Path) -> str | None:
    """Why a file of authorities cannot be used, or None: libraries that meet one say neither its name nor the setting's."""
    try:
        ssl.create_default_context(cafile=str(company))
    except OSError as error:  # SSLError is one
        return "it holds no certificate in PEM form" if isinstance(error, ssl.SSLError) else str(error.strerror)
    return None


def with_public_authorities(company: Path) -> AuthorityFile:
    """A file of both for libraries that take one file, and in place of their own: botocore's `verify` is such a one.

    Args:
        company: PEM certificates of a company's own authorities.

    Raises:
        OSError: One of the files cannot be read.
    """
    return AuthorityFile(Path(certifi.where()).read_bytes() + b"\n" + company.read_bytes())
