#!/bin/sh
# Installs what parts of the project need of the operating system, or says what is missing.
# usage: install-tools.sh [controller] [hosts] [browser] [machine]
set -eu

packages='' tools=''
for part; do
    case $part in
    controller)
        python=${PYTHON:-python3}
        if command -v "$python" >/dev/null && ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
            echo "Ansible needs Python 3.10 or newer, and $python is $("$python" --version 2>&1). Install one," \
                "and name it: make setup PYTHON=python3.11" >&2
            exit 1
        fi
        packages="$packages openssh-client python3-venv"
        tools="$tools ssh"
        ;;
    hosts)
        packages="$packages iproute2 mmdebstrap nftables openssh-client systemd-container"
        tools="$tools ip mmdebstrap nft ssh-keygen systemd-nspawn"
        ;;
    browser)
        # Google's build of it does as well, which Ubuntu's machines on GitHub have.
        if ! command -v google-chrome >/dev/null; then
            packages="$packages chromium fonts-dejavu-core"
            tools="$tools chromium"
        fi
        ;;
    machine)
        packages="$packages e2fsprogs qemu-system-x86"
        tools="$tools mkfs.ext4 qemu-system-x86_64"
        ;;
    *)
        echo "$0: no part of the project is called $part" >&2
        exit 2
        ;;
    esac
done

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
