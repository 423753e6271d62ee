"""What may stand behind `respray work` besides its own options."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.errors import SettingsError
from orchestrator.jobs.name_catalog import unknown_name_message

OPTIONS = ("--adapter", "--path", "--store", "--triton-url", "--palette")
"""The command's own, each with a value."""
RUNPOD_OPTIONS = ("--rp_", "--test")
"""How the options begin that Runpod's SDK reads (runpod 1.12); argparse lets them be shortened."""


def refuse_unread(arguments: Sequence[str], adapter: str) -> None:
    """Raise SettingsError for the first argument that nobody reads: a misspelt option would be a setting that is silently not made.

    Args:
        arguments: What the command line held besides the command's own options.
        adapter: The intake that is to run. Runpod's SDK reads options of its own, and passes over others as well.
    """
    for place, argument in enumerate(arguments):
        option = argument.startswith("-")
        if adapter == "runpod" and (argument.startswith(RUNPOD_OPTIONS) if option else place):
            continue
        if not option:
            raise SettingsError(f"respray work takes options only, and not {argument!r}; one job from a file: respray run {argument}")
        raise SettingsError(unknown_name_message("option", argument.partition("=")[0], OPTIONS))
