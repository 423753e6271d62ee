#!/usr/bin/env bash
# Tools that tests use and pip cannot bring: a real Redis, Node with the BullMQ producer and the TypeScript client, and promtool.
# Installs only what is missing; says what to install by hand where it may not. Without promtool, its tests are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

sudo=""
missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v npm >/dev/null || missing+=(nodejs npm)
if ((${#missing[@]})); then
  if [[ $(id -u) != 0 ]]; then
    sudo="sudo -n"
    $sudo true 2>/dev/null || { echo "tests need ${missing[*]}: run 'sudo apt-get install ${missing[*]}' and try again" >&2; exit 1; }
  fi
  echo "installing ${missing[*]}" >&2
  $sudo apt-get update -qq >&2
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

# An apt-installed Redis may have been started as a service; tests start their own on free ports and do not touch it.

# A browser for the studio. Its tests are skipped without one: not every distribution has Chromium as a package (Ubuntu's is a snap).
if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
  if command -v apt-get >/dev/null && { [[ $(id -u) == 0 ]] || sudo -n true 2>/dev/null; }; then
    [[ $(id -u) == 0 ]] || sudo="sudo -n"
    echo "installing chromium" >&2
    { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver; } >&2 \
      || echo "no chromium: the studio's tests are skipped" >&2
  else
    echo "no chromium: the studio's tests are skipped; 'apt-get install chromium chromium-driver' brings it" >&2
  fi
fi

# Versions are pinned in each package.json; a lock file would list other platforms' binaries, which npm leaves out where it
# writes one and then misses where it reads one.
# A registry that npm cannot talk to (a proxy whose certificate it does not know) otherwise keeps it waiting for minutes at every try.
for folder in tests/orchestrator/node tests/api/node tests/studio/node; do
  npm install --fetch-timeout=60000 --fetch-retries=1 --silent --no-audit --no-fund --no-package-lock --prefix "$folder" >&2 \
    || { echo "npm could not install $folder: run it there without --silent to see why" >&2; exit 1; }
done

# The Debian packages' programs go into the virtual environment: nothing is installed, so no Prometheus service starts, and no root is
# needed. One that does not run here (a library missing) is taken away again.
fetch_program() {  # PACKAGE PROGRAM
  command -v "$2" >/dev/null && return
  [[ -x .venv/bin/$2 ]] && return
  local folder; folder=$(mktemp -d)
  if command -v apt-get dpkg-deb >/dev/null \
      && (cd "$folder" && apt-get download -qq "$1" 2>/dev/null && dpkg-deb -x "$1"_*.deb .) \
      && install -D "$folder/usr/bin/$2" ".venv/bin/$2" && ".venv/bin/$2" --version >/dev/null 2>&1; then
    echo "fetched $2" >&2
  else
    rm -f ".venv/bin/$2"
    echo "no $2: its tests are skipped; 'apt-get install $1' brings it" >&2
  fi
  rm -rf "$folder"
}
if command -v apt-get >/dev/null && ! apt-cache show prometheus >/dev/null 2>&1; then
  ${sudo:-} apt-get update -qq >&2 2>/dev/null || true  # a fresh machine has no lists
fi
fetch_program prometheus promtool
