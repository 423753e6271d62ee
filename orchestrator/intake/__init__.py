"""Where jobs come from: one module per ADAPTER, each imported only when it is chosen (their SDKs are optional)."""

from __future__ import annotations

from orchestrator.errors import SettingsError
from orchestrator.intake.base import Intake
from orchestrator.settings import Settings
from respray.installation import install_command


def open_intake(settings: Settings) -> Intake:
    """The intake of ADAPTER. `runpod` is not here: its SDK owns the process; see `runpod.py`."""
    try:
        match settings.adapter:
            case "local":
                from orchestrator.intake.local import LocalIntake

                return LocalIntake(settings.local_path, settings.job_concurrency)
            case "queue_pull":
                from orchestrator.intake.queue_pull import QueuePullIntake

                return QueuePullIntake.from_settings(settings)
            case "bullmq":
                from orchestrator.intake.bullmq import BullmqIntake

                return BullmqIntake.from_settings(settings)
            case "celery":
                from orchestrator.intake.celery import CeleryIntake

                return CeleryIntake.from_settings(settings)
    except ModuleNotFoundError as error:
        raise SettingsError(f"ADAPTER={settings.adapter} needs the package {error.name}: {install_command('intake')}") from None
    raise SettingsError(f"ADAPTER={settings.adapter} is not taken in by a session")
