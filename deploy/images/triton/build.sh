#!/usr/bin/env bash
# Builds the Triton image (the Dockerfile at the repository's root); see ../build_image.sh for --push, --save and --load.
exec "$(dirname "${BASH_SOURCE[0]}")/../build_image.sh" respray-triton Dockerfile "$@"
