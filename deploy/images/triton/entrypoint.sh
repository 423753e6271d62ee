#!/bin/sh
# Through NVIDIA's entry point, whose banner goes to stderr: stdout is the orchestrator's, one event a line.
set -eu
nvidia=/opt/nvidia/nvidia_entrypoint.sh
exec 3>&1 1>&2
if [ -x "$nvidia" ]; then
  # shellcheck disable=SC2016  # expanded by the inner shell
  exec "$nvidia" sh -c 'exec python3 -m respray.launch.container "$@" 1>&3 3>&-' respray "$@"
fi
exec python3 -m respray.launch.container "$@" 1>&3 3>&-
