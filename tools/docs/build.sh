#!/usr/bin/env bash
# Builds the documentation into build/site. Warnings are errors: a dead link or a page outside the navigation fails.
# Uses the project's environment, and installs the generator into it where it is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=.venv/bin/python
[[ -x $python ]] || python=$(command -v python3)
"$python" -c 'import mkdocs, material' 2>/dev/null || "$python" -m pip install --quiet --disable-pip-version-check -e '.[docs]'
# What is published must be what the code says.
PYTHONPATH=. "$python" -m tools.docs.reference --check
NO_MKDOCS_2_WARNING=1 exec "$python" -m mkdocs build --strict --quiet --config-file mkdocs.yaml --site-dir "$PWD/build/site" "$@"
