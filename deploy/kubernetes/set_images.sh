#!/usr/bin/env bash
# Writes into base/kustomization.yaml which images to run, where they were pushed (deploy/images/*/build.sh --push REGISTRY):
#   deploy/kubernetes/set_images.sh ghcr.io/OWNER 1.2.3
# (As `kustomize edit set image` would, which kubectl does not have.)
set -euo pipefail
[[ $# -eq 2 && -n $1 && $2 =~ ^[A-Za-z0-9_][A-Za-z0-9._-]*$ ]] || { sed -n '2,3s/^# *//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
file=${KUSTOMIZATION:-$(dirname "${BASH_SOURCE[0]}")/base/kustomization.yaml}
for image in respray-triton respray-worker; do
  grep -q "name: ${image}[,}]" "$file" || { echo "$file has no image $image" >&2; exit 1; }
  sed -i "s#{name: ${image},.*}#{name: ${image}, newName: ${1%/}/${image}, newTag: \"$2\"}#" "$file"
done
grep -n "newName" "$file"
