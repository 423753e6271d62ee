#!/bin/sh
# Install without a network: install.sh dependencies FOLDER [pip options], the wheels of wheels.sh, and then
#                            install.sh checkout [pip options], the repository in whose root this runs.
# Two steps, so that the image's layer of dependencies outlives changes of the code.
set -eu
what="$1"
shift
python="${PYTHON:-python3}"
pip() {
  "$python" -m pip install --disable-pip-version-check --no-cache-dir --quiet --no-index "$@"
}
case "$what" in
  dependencies)
    folder="$1"
    shift
    pip --find-links "$folder" "$@" --requirement "$folder/requirements.txt" 'setuptools>=77'
    ;;
  checkout)
    pip --no-deps --no-build-isolation "$@" .
    "$python" -m compileall -q orchestrator respray
    ;;
  *)
    echo "install.sh: '$what' is neither 'dependencies' nor 'checkout'" >&2
    exit 2
    ;;
esac
