#!/usr/bin/env bash
# Tools that tests use and pip cannot bring: a real Redis, and Node with the BullMQ producer.
# Installs only what is missing; says what to install by hand where it may not.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v npm >/dev/null || missing+=(nodejs npm)
if ((${#missing[@]})); then
  sudo=""
  if [[ $(id -u) != 0 ]]; then
    sudo="sudo -n"
    $sudo true 2>/dev/null || { echo "tests need ${missing[*]}: run 'sudo apt-get install ${missing[*]}' and try again" >&2; exit 1; }
  fi
  echo "installing ${missing[*]}" >&2
  $sudo apt-get update -qq >&2
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

# An apt-installed Redis may have been started as a service; tests start their own on free ports and do not touch it.

# The producer's version is pinned in its package.json; a lock file would list other platforms' binaries, which npm leaves out where it
# writes one and then misses where it reads one.
npm install --silent --no-audit --no-fund --no-package-lock --prefix tests/orchestrator/node >&2 \
  || { echo "npm could not install tests/orchestrator/node: run it there without --silent to see why" >&2; exit 1; }
