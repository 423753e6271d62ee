"""What the checks look at: the machine's environment, read once at the edge and handed in, so that tests can break it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from respray.doctor.finding import FAIL, WARN, Finding, Status
from respray.volumes import RUNPOD_MARKS


def checkout() -> Path:
    """The folder whose `.env`, `.venv` and pyproject.toml are looked at: the one that the doctor is run in."""
    return Path.cwd()


@dataclass(frozen=True)
class Situation:
    """Everything a check may depend on.

    `gpu`: "required" makes a missing GPU a failure, "optional" a warning (the CPU path), "auto" decides by where we run.
    `device_folder` holds the device nodes, `shared_memory` is the folder that Triton's Python models exchange tensors through.
    `timeout` is in seconds, for each connection.
    """

    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    repository: Path = field(default_factory=checkout)
    gpu: str = "auto"
    device_folder: Path = Path("/dev")
    shared_memory: Path = Path("/dev/shm")
    timeout: float = 5.0
    full_checksums: bool = True

    @property
    def gpu_required(self) -> bool:
        """Whether a machine like this one is expected to have a working GPU."""
        if self.gpu != "auto":
            return self.gpu == "required"
        return self.has_gpu_hardware or any(self.environment.get(mark) for mark in RUNPOD_MARKS)

    @property
    def has_gpu_hardware(self) -> bool:
        """Whether an NVIDIA device node is visible: then broken libraries are a failure, not a choice."""
        return (self.device_folder / "nvidiactl").exists() or (self.device_folder / "nvidia0").exists()

    def install(self, extra: str) -> str:
        """pip's arguments for the project with an extra: the checkout that the doctor runs in, or the package where that is none."""
        return f"-e '.[{extra}]'" if (self.repository / "pyproject.toml").is_file() else f"'respray[{extra}]'"

    @property
    def adapter(self) -> str:
        """The intake this machine is set up for; empty where nobody has set one up yet."""
        return self.environment.get("ADAPTER", "").lower()


def with_dotenv(environment: Mapping[str, str], path: Path) -> dict[str, str]:
    """`environment` completed by the `.env` file at `path`; what is already set wins, as it does in the settings."""
    merged: dict[str, str] = {}
    try:
        # As the settings read it, wherever their packages are installed.
        from dotenv import dotenv_values
    except ImportError:
        dotenv_values = None  # type: ignore[assignment]
    if path.is_file() and dotenv_values is not None:
        merged.update({name: value for name, value in dotenv_values(path).items() if value is not None})
    elif path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            name, separator, value = line.strip().partition("=")
            if separator and not name.startswith("#"):
                merged[name.removeprefix("export ").strip() if hasattr(str, "removeprefix") else name.strip()] = value.strip().strip("'\"")
    merged.update(environment)
    return merged


def unset(situation: Situation, what: str, fix: str) -> Finding:
    """Not set: fine for a development machine, not for a worker that an intake was set up for."""
    severity: Status = WARN if situation.adapter in ("", "local") else FAIL
    return Finding(severity, what, fix)
