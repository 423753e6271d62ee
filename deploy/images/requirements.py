"""Print the project's dependencies and those of some extras, one per line: `requirements.py server,intake`.

So that a layer of dependencies depends on pyproject.toml alone and is not built again for every change of the code.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def requirements(extras: list[str]) -> list[str]:
    """The requirement lines of the project with these extras; extras that name others (`respray[server]`) are followed.

    Raises:
        SystemExit: naming the extras that exist when one does not.
    """
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    known: dict[str, list[str]] = project["optional-dependencies"]
    if missing := [extra for extra in extras if extra not in known]:
        raise SystemExit(f"pyproject.toml has no extra {', '.join(missing)}; it has {', '.join(sorted(known))}")
    lines: list[str] = list(project["dependencies"])
    for extra in extras:
        for line in known[extra]:
            own = re.fullmatch(rf"{project['name']}\[([\w,]+)\]", line)
            lines += requirements(own[1].split(",")) if own else [line]
    return list(dict.fromkeys(lines))


if __name__ == "__main__":
    print("\n".join(requirements([extra for extra in sys.argv[1].split(",") if extra])))
