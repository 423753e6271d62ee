#!/bin/sh
# Fetch the image's Python dependencies as wheels: wheels.sh FOLDER [EXTRAS]. Run from the repository's root by the Dockerfile's first stage
# and by tests/launch/test_image.py. Needs the network and nothing of CUDA.
set -eu
folder="$1"
extras="${2:-intake}"
python="${PYTHON:-python3}"
mkdir -p "$folder"
"$python" deploy/images/requirements.py "$extras" > "$folder/requirements.txt"
# setuptools installs the checkout itself in the last stage, where there is no network.
"$python" -m pip wheel --disable-pip-version-check --no-cache-dir --quiet --wheel-dir "$folder" --requirement "$folder/requirements.txt" 'setuptools>=77'
