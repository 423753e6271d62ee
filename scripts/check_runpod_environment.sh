#!/usr/bin/env bash
# Says in eight checks whether this machine can run Respray: `respray doctor` where it is installed, and the same checks with
# whatever Python there is before anything is installed. Takes the doctor's flags (--json, --gpu required, --only NAME, --quick).
# Exit code: 0 all checks passed (warnings allowed), 1 something needs fixing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

runs() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; }

# The project's own environment first; then any Python, the newest first (a pyenv shim may exist and not run).
for python in .venv/bin/python python3.13 python3.12 python3.11 python3 python3.10 python3.9 python3.8; do
  if command -v "$python" >/dev/null && runs "$python"; then
    exec env PYTHONPATH=. "$python" -m respray.doctor "$@"
  fi
done

# No Python at all: say the one thing that comes before every check, in the form that was asked for.
what="no Python that runs: the other checks need 3.8 or newer, Respray itself 3.11 to 3.13"
fix="apt-get update && apt-get install -y python3 python3-venv (Ubuntu 24.04, Debian 12), then run this again"
case " $* " in
  *" --json "*)
    printf '{"status": "FAIL", "checks": [{"number": 5, "name": "python", "title": "Python and virtual environment", "status": "FAIL", '
    printf '"findings": [{"status": "FAIL", "what": "%s", "fix": "%s"}]}]}\n' "$what" "$fix" ;;
  *) printf '[5/8] Python and virtual environment\n  FAIL  %s\n        fix: %s\n' "$what" "$fix" ;;
esac
exit 1
