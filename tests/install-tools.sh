#!/bin/sh
# Installs what the project's test hosts and its virtualenv need of the operating system, or says what is missing.
set -eu

packages="debootstrap iproute2 nftables openssh-client python3-venv systemd-container"
tools="debootstrap ip nft ssh-keygen systemd-nspawn"
# For the tests with a browser; Google's build of it does as well, which Ubuntu's machines on GitHub have.
if ! command -v google-chrome >/dev/null; then
    packages="$packages chromium fonts-dejavu-core"
    tools="$tools chromium"
fi

if command -v dpkg-query >/dev/null; then
    missing=
    for package in $packages; do
        dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
            missing="$missing $package"
    done
    [ -n "$missing" ] || exit 0
    if [ "$(id -u)" = 0 ]; then
        apt-get update --quiet --quiet
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes --no-install-recommends $missing >/dev/null
        exit 0
    fi
    echo "These packages are missing:$missing. Install them (apt-get install$missing), or run make as root." >&2
    exit 1
fi

missing=
for tool in $tools; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
[ -z "$missing" ] || {
    echo "These commands are missing:$missing. Install the packages of your distribution that have them." >&2
    exit 1
}
