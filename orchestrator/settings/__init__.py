"""Everything the worker takes from its surroundings: environment variables and a `.env` file (docs/reference/contract.md, "Settings").

Only this package reads the environment. One setting may have several spellings (deployments exist that use each); two
spellings that are set and differ are an error that names both, and so is a missing setting, at start and never in the middle of a job.

    fields.py        the settings, with all their spellings
    load.py          from the environment to checked settings
    problems.py      what is wrong with values, by their looks
    requirements.py  what a process needs to be set
"""

from orchestrator.settings.fields import DeviceChoice, Settings, spellings
from orchestrator.settings.load import load_settings
from orchestrator.settings.requirements import is_bucket, missing_settings, require

__all__ = ["DeviceChoice", "Settings", "is_bucket", "load_settings", "missing_settings", "require", "spellings"]
