#!/bin/sh
# Make the wheels that an image installs. Run from the repository's root by a Dockerfile's first stages and by tests/launch/test_image.py.
#   wheels.sh dependencies FOLDER EXTRAS    everything that pyproject.toml asks for with these extras; needs the network, and nothing of CUDA
#   wheels.sh package FOLDER                the project itself, built with the setuptools that the first step has fetched
# Two steps, so that the image's layer of dependencies outlives changes of the code.
set -eu
what="$1"
folder="$2"
python="${PYTHON:-python3}"
wheel() {
  "$python" -m pip wheel --disable-pip-version-check --no-cache-dir --quiet --wheel-dir "$@"
}
case "$what" in
  dependencies)
    mkdir -p "$folder/package"
    "$python" deploy/images/requirements.py "$3" > "$folder/requirements.txt"
    wheel "$folder" --requirement "$folder/requirements.txt" 'setuptools>=77'
    ;;
  package)
    wheel "$folder/package" --no-deps --no-index --find-links "$folder" .
    ;;
  *)
    echo "wheels.sh: '$what' is neither 'dependencies' nor 'package'" >&2
    exit 2
    ;;
esac
