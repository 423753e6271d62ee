#!/usr/bin/env bash
# Sets up Respray on a bare Ubuntu or Debian pod: system packages, virtual environment, Python packages, CUDA libraries where there is a
# GPU, volume folder, .env. Every step looks first whether it has been done, so that it can be run again at any time: after a crash,
# after `git pull`, on a pod whose container disk was wiped.
#
#   scripts/setup_runpod_complete.sh             GPU if there is one
#   scripts/setup_runpod_complete.sh --cpu       never install the GPU runtime
#   scripts/setup_runpod_complete.sh --no-check  leave out the doctor at the end
#
# Exit code: the doctor's (0 ready, 1 something needs fixing; it says what), or 2 where the set-up itself could not be done.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cpu=false check=true
for argument in "$@"; do
  case $argument in
    --cpu) cpu=true ;;
    --no-check) check=false ;;
    *) sed -n '6,8s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
  esac
done

say() { printf '\n== %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 2; }
trap 'fail "line $LINENO failed; what is above says why. Run the script again when it is repaired: it goes on from there"' ERR

command -v apt-get >/dev/null || fail "this is neither Ubuntu nor Debian: install Python 3.11 to 3.13 and run: python3 -m venv .venv && .venv/bin/pip install -e '.[embedded,intake]'"
sudo=()
if [[ $(id -u) != 0 ]]; then
  sudo -n true 2>/dev/null || fail "needs root or password-less sudo for apt-get"
  sudo=(sudo -n)
fi

# --- system packages -----------------------------------------------------------------------------------------------------------------
works() { "$1" -c 'import sys, ensurepip, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; }
find_python() {
  for candidate in python3.12 python3.13 python3.11 python3; do
    if command -v "$candidate" >/dev/null && works "$candidate"; then command -v "$candidate"; return; fi
  done
  return 1
}
installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

wanted=(ca-certificates curl git libb64-0d make)
missing=()
for package in "${wanted[@]}"; do installed "$package" || missing+=("$package"); done
if ((${#missing[@]})) || ! find_python >/dev/null; then
  say "apt: ${missing[*]:-} and Python"
  "${sudo[@]}" apt-get update -qq
  if ! find_python >/dev/null; then
    # Ubuntu 24.04 has 3.12, 22.04 has 3.11 beside its own 3.10, Debian 12 has 3.11.
    for version in 3.12 3.13 3.11; do
      if apt-cache show "python$version-venv" >/dev/null 2>&1; then missing+=("python$version" "python$version-venv"); break; fi
    done
  fi
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  say "apt: nothing to do"
fi
python=$(find_python) || fail "no Python 3.11 to 3.13 with venv, and apt has none; on Ubuntu 20.04 use a newer image"

# The embedded server links against Python's shared library, which Debian and Ubuntu package on its own.
library=$("$python" -c 'import sys, sysconfig; v = sys.version_info; print(f"libpython{v.major}.{v.minor}")')
if [[ $python == /usr/bin/* ]] && ! ldconfig -p | grep -q "$library.so.1.0"; then
  say "apt: $library"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$library" >/dev/null
fi

# --- virtual environment -------------------------------------------------------------------------------------------------------------
if [[ -e .venv || -L .venv ]] && ! works .venv/bin/python; then
  say ".venv: its Python is gone; making it anew"
  rm -rf .venv
fi
if [[ ! -x .venv/bin/python ]]; then
  say ".venv with $python"
  "$python" -m venv .venv
else
  say ".venv: nothing to do"
fi

# --- Python packages -----------------------------------------------------------------------------------------------------------------
gpu=false
if ! $cpu && command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then gpu=true; fi
# Installing takes a minute even where nothing is to do, so a stamp remembers what it was done for.
stamp=.venv/.setup
key="$(sha256sum pyproject.toml | cut -d' ' -f1) gpu=$gpu"
if [[ ! -f $stamp || $(<"$stamp") != "$key" ]]; then
  say "Python packages (GPU: $gpu)"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,intake,api,hub,top]'
  # On Python 3.13 the wheel that holds tritonserver comes without its dependencies (pyproject.toml): only its files are used.
  if .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps nvidia-pytriton==0.7.0
  fi
  if $gpu; then
    # Both builds put files into the same folder: remove first. The extras bring cuBLAS and cuDNN as wheels, so that nothing of the
    # system's CUDA is touched.
    .venv/bin/python -m pip uninstall --quiet -y onnxruntime onnxruntime-gpu
    .venv/bin/python -m pip install --quiet --disable-pip-version-check 'onnxruntime-gpu[cuda,cudnn]>=1.31,<2'
  fi
  printf '%s\n' "$key" >"$stamp"
else
  say "Python packages: nothing to do"
fi

# --- volume and settings -------------------------------------------------------------------------------------------------------------
# As the worker finds it: MODEL_PATH, or the volume where Runpod has mounted it.
models=$(.venv/bin/python -c 'import os; from respray.volumes import models_root; print(models_root(os.environ))')
if [[ ! -d $models ]]; then
  say "$models"
  "${sudo[@]}" mkdir -p "$models"
  [[ -w $models ]] || "${sudo[@]}" chown "$(id -u)" "$models"
  echo "no volume is mounted at $models: weights will be fetched again after every restart of the pod" >&2
fi
if [[ ! -f .env ]]; then
  say ".env from .env.example: fill in storage, callbacks and HF_TOKEN"
  # Readable by this user alone: it will hold keys.
  install -m 600 .env.example .env
fi

$check || exit 0
say "doctor"
trap - ERR
scripts/check_runpod_environment.sh
