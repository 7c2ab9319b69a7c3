"""What dnf has installed on a host in the shape of Enterprise Linux, from where, and who signed it."""

import pytest

# By the version: what the site takes, and what comes with it.
INSTALLED = {
    "7": ["epel-release", "libselinux-python", "logrotate", "nginx", "nginx-filesystem", "policycoreutils-python",
          "python-virtualenv"],
    "9": ["logrotate", "nginx", "nginx-core", "nginx-filesystem", "python3.11", "redis"],
}  # fmt: skip
# What of it, and of the repository files that a host has from the start, is not as the packages brought it.
REPOSITORIES = {"7": "centos-release", "9": "rocky-repos"}
CHANGED = {
    "7": ["/etc/nginx/nginx.conf", "/etc/yum.repos.d/CentOS-Base.repo", "/etc/yum.repos.d/epel.repo"],
    "9": ["/etc/nginx/nginx.conf"],
}
# What IcePy is compiled with, on the first host of a platform.
PYTHON = {"7": "python2.7", "9": "python3.11"}
COMPILER = {
    "7": ["gcc-c++", "openssl-devel", "bzip2-devel", "python-devel"],
    "9": ["gcc-c++", "openssl-devel", "bzip2-devel", "python3.11-devel"],
}
PROGRAM = r"""
#include <Python.h>
#include <bzlib.h>
#include <iostream>
#include <openssl/ssl.h>
int main() { std::cout << PY_VERSION << BZ2_bzlibVersion() << OPENSSL_VERSION_TEXT; }
"""


@pytest.fixture(scope="module")
def version(host):
    return host.system_info.release.split(".")[0]


def test_packages_are_from_the_repositories_that_have_them(linux, rpms, version):
    known = {name: linux["packages"][name] for name in INSTALLED[version]}
    expected = {name: (package["version"], package["repository"]) for name, package in known.items()}
    assert {name: what for name, what in rpms().items() if name in expected} == expected


def test_every_package_was_signed(host, version):
    form = "%{NAME} %{RSAHEADER:pgpsig}\\n"
    lines = host.check_output(f"rpm --query --queryformat '{form}' {' '.join(INSTALLED[version])}").splitlines()
    assert len(lines) == len(INSTALLED[version])
    assert [line for line in lines if "RSA/SHA" not in line] == []
    assert host.run("rpm --query gpg-pubkey").succeeded


def test_of_the_packages_files_few_are_changed(host, version):
    """But for what the role has of its own in the directories of others."""
    said = host.run(f"rpm --verify {' '.join(INSTALLED[version])} {REPOSITORIES[version]}").stdout.splitlines()
    changed = [line.split()[-1] for line in said if not line.split()[-1].startswith("/var/")]
    assert sorted(changed) == CHANGED[version]


def test_icepy_could_be_compiled(host, version):
    python = PYTHON[version]
    host.check_output(f"dnf --quiet --assumeyes install {' '.join(COMPILER[version])}")
    flags = f"-I/usr/include/{python} -lbz2 -lssl -lcrypto"
    host.check_output(f"cd /root && g++ -x c++ - -o program {flags} << 'EOF'{PROGRAM}EOF")
    assert host.check_output("/root/program").startswith(python.replace("python", "") + ".")
