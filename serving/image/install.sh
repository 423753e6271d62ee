#!/bin/sh
# Install the wheels of wheels.sh and the checkout in which this runs: install.sh FOLDER [pip options]. No network.
set -eu
folder="$1"
shift
python="${PYTHON:-python3}"
"$python" -m pip install --disable-pip-version-check --no-cache-dir --quiet --no-index --find-links "$folder" "$@" \
  --requirement "$folder/requirements.txt" 'setuptools>=77'
# In place: presets, the demo model and the Triton models' Python files are data beside the packages.
"$python" -m pip install --disable-pip-version-check --no-cache-dir --quiet --no-index --no-deps --no-build-isolation "$@" --editable .
"$python" -m compileall -q editing imaging operations orchestrator segmentation serving
