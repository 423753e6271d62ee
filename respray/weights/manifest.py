"""A model folder's manifest: which files belong to it, how large they are and their SHA-256. Standard library only: the doctor uses it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

MANIFEST = "weights.json"
PARTIAL_SUFFIX = ".partial"
_CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True)
class FileEntry:
    """Size in bytes and SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """`files` are relative POSIX paths; `source` says where they came from (a hub repository and revision, or a bucket)."""

    model: str
    source: str
    files: dict[str, FileEntry]

    def write(self, folder: Path) -> None:
        """Write atomically: a manifest is the mark that a folder is complete, so a half-written one would be a lie."""
        document = {
            "model": self.model,
            "source": self.source,
            "files": {name: asdict(entry) for name, entry in sorted(self.files.items())},
        }
        temporary = folder / f"{MANIFEST}.{os.getpid()}{PARTIAL_SUFFIX}"
        temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, folder / MANIFEST)

    @classmethod
    def parse(cls, text: str, where: str) -> Manifest:
        """Read a manifest; ValueError names `where` and the field that is wrong."""
        try:
            document = json.loads(text)
            files = {name: FileEntry(int(entry["size"]), str(entry["sha256"]).lower()) for name, entry in document["files"].items()}
            manifest = cls(str(document["model"]), str(document.get("source", "")), files)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"{type(error).__name__}: {error}"
            raise ValueError(
                f"{where} is not a manifest ({what}); accepted is {{model, source, files: {{path: {{size, sha256}}}}}}"
            ) from error
        for name, entry in manifest.files.items():
            check_relative(name, where)
            if len(entry.sha256) != 64 or entry.size < 0:
                raise ValueError(
                    f"{where}: {name} has size {entry.size} and sha256 {entry.sha256!r}; a size >= 0 and 64 hex digits are accepted"
                )
        return manifest

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The folder's manifest, or None where it has none yet."""
        path = folder / MANIFEST
        return cls.parse(path.read_text(encoding="utf-8"), str(path)) if path.is_file() else None

    def problems(self, folder: Path, full: bool = True) -> list[str]:
        """What is missing, of the wrong size or (with `full`) of the wrong content; empty where the folder is complete."""
        found = []
        for name, entry in sorted(self.files.items()):
            path = folder / name
            if not path.is_file():
                found.append(f"{name} is missing")
            elif path.stat().st_size != entry.size:
                found.append(f"{name} has {path.stat().st_size} bytes, {entry.size} are right")
            elif full and sha256_of(path) != entry.sha256:
                found.append(f"{name} has the right size and the wrong SHA-256: it is damaged")
        return found


def check_relative(name: str, where: str) -> None:
    """Refuse paths that would leave the model folder: a manifest may come from a bucket that someone else can write to."""
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{where} names the file {name!r}; accepted are relative paths without '..'")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex, read in chunks. `hashlib.file_digest` needs Python 3.11; the doctor also runs where it is older."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def describe(folder: Path, model: str, source: str) -> Manifest:
    """The manifest of a folder as it is now (all files but manifests, hidden files and partial downloads)."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if (
            path.is_file()
            and path.name != MANIFEST
            and not path.name.endswith(PARTIAL_SUFFIX)
            and not any(p.startswith(".") for p in name.split("/"))
        ):
            files[name] = FileEntry(path.stat().st_size, sha256_of(path))
    return Manifest(model, source, files)
