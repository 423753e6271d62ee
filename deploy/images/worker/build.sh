#!/usr/bin/env bash
# Builds the worker's image; see ../build_image.sh for --push, --save and --load.
exec "$(dirname "${BASH_SOURCE[0]}")/../build_image.sh" respray-worker deploy/images/worker/Dockerfile "$@"
