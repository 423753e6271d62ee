#!/usr/bin/env bash
# Builds one image and does one thing with it. Called by the build.sh beside each Dockerfile:
#   build.sh                      build and tag NAME:VERSION and NAME:latest
#   build.sh --push REGISTRY      build, tag REGISTRY/NAME:VERSION, push
#   build.sh --save FILE.tar.gz   build and write the image to a file, for hosts without a registry
#   build.sh --load HOST FILE     copy such a file to HOST over ssh and load it there (no build)
# VERSION is the environment's, or `git describe`. DOCKER may name another client (podman). PLATFORM is linux/amd64, which Runpod's hosts and
# the wheels are; a Mac would build for its own processor.
set -euo pipefail

usage() { sed -n '3,6s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

[[ $# -ge 2 ]] || usage
name=$1 dockerfile=$2
shift 2
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
docker=${DOCKER:-docker}
version=${VERSION:-$(git -C "$root" describe --tags --always --dirty)}

build() {
  "$docker" build --platform "${PLATFORM:-linux/amd64}" --file "$root/$dockerfile" --tag "$name:$version" --tag "$name:latest" \
    --label "org.opencontainers.image.version=$version" --label "org.opencontainers.image.revision=$(git -C "$root" rev-parse HEAD)" "$root"
}

case ${1:-} in
  "") build ;;
  --push)
    [[ $# -eq 2 ]] || usage
    build
    "$docker" tag "$name:$version" "$2/$name:$version"
    "$docker" push "$2/$name:$version"
    ;;
  --save)
    [[ $# -eq 2 ]] || usage
    build
    "$docker" save "$name:$version" | gzip >"$2.part"
    mv "$2.part" "$2"
    echo "wrote $2; on the other host: gunzip -c $(basename "$2") | docker load" >&2
    ;;
  --load)
    [[ $# -eq 3 ]] || usage
    [[ -f $3 ]] || { echo "$3 does not exist; build.sh --save $3 writes it" >&2; exit 1; }
    # shellcheck disable=SC2029  # the command is meant to be expanded here
    gunzip -c "$3" | ssh "$2" "$docker load"
    ;;
  *) usage ;;
esac
