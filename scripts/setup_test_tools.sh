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
if [[ -f tests/orchestrator/node/package.json ]]; then
  npm ci --silent --no-audit --no-fund --prefix tests/orchestrator/node >&2
fi
