#!/usr/bin/env bash
# Slow proof (needs root, debootstrap and a network; not part of `make test`): sets Respray up on a bare Ubuntu, in a chroot.
#   tests/deploy/prove_setup.sh [FOLDER] [RELEASE]     default: a temporary folder, noble (24.04)
# 1. a root file system with nothing in it   2. the check script before anything is installed: it must fail and say why
# 3. the set-up   4. the set-up again: nothing to do   5. the virtual environment broken: repaired   6. the doctor   7. the demo
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
root=${1:-$(mktemp -d)} release=${2:-noble}
target=$root/srv/respray
certificates=(PIP_CERT=/etc/ssl/machine.crt SSL_CERT_FILE=/etc/ssl/machine.crt)

if [[ ! -x $root/usr/bin/apt-get ]]; then
  options=(--no-check-gpg)
  [[ -f /usr/share/keyrings/ubuntu-archive-keyring.gpg ]] && options=()
  [[ -e /usr/share/debootstrap/scripts/$release ]] || ln -s gutsy "/usr/share/debootstrap/scripts/$release"
  debootstrap --variant=minbase "${options[@]}" --components=main,universe "$release" "$root" http://archive.ubuntu.com/ubuntu
fi
mkdir -p "$target"
git -C "$repository" ls-files -z --cached --others --exclude-standard | tar -C "$repository" --null -T - --ignore-failed-read -cf - | tar -C "$target" -xf -

inside() { chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "${certificates[@]}" "$@"; }
clean() { for point in dev/shm dev proc opt; do umount "$root/$point" 2>/dev/null || true; done; }
trap clean EXIT
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs -o size=2g tmpfs "$root/dev/shm"
# The machine's own way to packages, where it has one.
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
[[ -f /etc/pip.conf ]] && cp -L /etc/pip.conf "$root/etc/pip.conf"
# Its own certificate authorities too; installing ca-certificates inside would overwrite a copy in the usual place.
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/machine.crt"
[[ -d /opt ]] && mount --bind -o ro /opt "$root/opt"

echo "--- before"
if [[ ! -d $target/.venv ]]; then
  inside /srv/respray/scripts/check_runpod_environment.sh && { echo "the check passed on an empty machine" >&2; exit 1; }
fi
echo "--- set-up"
time inside /srv/respray/scripts/setup_runpod_complete.sh --cpu --no-check
echo "--- again"
time inside /srv/respray/scripts/setup_runpod_complete.sh --cpu --no-check
echo "--- with a broken virtual environment"
ln -sfn /nowhere "$target/.venv/bin/python"
inside /srv/respray/scripts/check_runpod_environment.sh --only python && { echo "the check passed with a broken environment" >&2; exit 1; }
inside /srv/respray/scripts/setup_runpod_complete.sh --cpu --no-check
echo "--- doctor"
inside /srv/respray/scripts/check_runpod_environment.sh
echo "--- demo: the real pipeline, with the server's binary, on this root file system"
inside bash -c 'cd /srv/respray && .venv/bin/respray demo' | tail -n 5
