#!/bin/sh
# Install the wheels of wheels.sh without a network:
#   install.sh dependencies FOLDER [pip options]
#   install.sh package FOLDER [pip options]
set -eu
what="$1"
folder="$2"
shift 2
python="${PYTHON:-python3}"
pip() {
  "$python" -m pip install --disable-pip-version-check --no-cache-dir --quiet --no-index "$@"
}
case "$what" in
  dependencies) pip --find-links "$folder" "$@" --requirement "$folder/requirements.txt" ;;
  package) pip --no-deps "$@" "$folder"/package/respray-*.whl ;;
  *)
    echo "install.sh: '$what' is neither 'dependencies' nor 'package'" >&2
    exit 2
    ;;
esac
