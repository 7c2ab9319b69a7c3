#!/usr/bin/python
"""Stand-in for yum on a host that is Debian underneath: keeps a record of what it is asked, and installs its like."""

import glob
import json
import os
import re
import shutil
import subprocess

from ansible.module_utils.basic import AnsibleModule

STATE = "/var/lib/el7-shaped"
REQUESTS = STATE + "/requests"
PACKAGES = STATE + "/packages"
SHAPE = "/usr/share/el7-shaped"
REPOSITORIES = "/etc/yum.repos.d/"

# Where each package comes from on CentOS 7, and what it is called on Debian 11.
BASE, EPEL = REPOSITORIES + "CentOS-Base.repo", REPOSITORIES + "epel.repo"
CATALOGUE = {
    "bzip2-devel": (BASE, ["libbz2-dev"]),
    "epel-release": (BASE, []),
    "gcc-c++": (BASE, ["g++"]),
    "libselinux-python": (BASE, []),
    "logrotate": (BASE, ["logrotate"]),
    "nginx": (EPEL, ["nginx"]),
    "openssl-devel": (BASE, ["libssl-dev"]),
    "policycoreutils-python": (BASE, []),
    "python-devel": (BASE, ["python2.7-dev"]),
    "python-virtualenv": (BASE, ["virtualenv"]),
    "python3": (BASE, ["python3-venv"]),
    "python3-devel": (BASE, ["python3-dev"]),
}
GONE = re.compile(r"(?m)^\w+=https?://(?:mirror|mirrorlist|mirrors|download)\.(?:centos|fedoraproject)\.org/.*")


def unusable(names):
    """What yum would say: it refuses everything while any of its repositories is gone."""
    for path in sorted(glob.glob(REPOSITORIES + "*.repo")):
        with open(path) as repository:
            gone = GONE.search(repository.read())
        if gone:
            return "Cannot retrieve repository metadata for %s: %s" % (path, gone.group())
    for name in names:
        if name not in CATALOGUE or not os.path.exists(CATALOGUE[name][0]):
            return "No package matching '%s' found available, installed or updated" % name
    return None


def bring_epel():
    shutil.copy(SHAPE + "/epel.repo", EPEL)


def bring_nginx():
    """Leave nginx as CentOS does: with its own configuration, not running and not enabled."""
    shutil.copy(SHAPE + "/nginx.conf", "/etc/nginx/nginx.conf")
    for directory in glob.glob("/etc/nginx/sites-*"):
        shutil.rmtree(directory)
    subprocess.check_call(["useradd", "--system", "--no-create-home", "nginx"])
    subprocess.check_call(["systemctl", "disable", "--now", "--quiet", "nginx.service"])


def install(names):
    packages = [package for name in names for package in CATALOGUE[name][1]]
    command = ["apt-get", "install", "--quiet", "--quiet", "--yes", "--no-install-recommends"]
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    subprocess.check_output(command + packages, stderr=subprocess.STDOUT, env=environment)
    for name, bring in (("epel-release", bring_epel), ("nginx", bring_nginx)):
        if name in names:
            bring()


def main():
    module = AnsibleModule(
        argument_spec={"name": {"type": "list"}, "state": {"type": "str"}, "update_cache": {"type": "bool"}}
    )
    if not os.path.isdir(STATE):
        os.makedirs(STATE)
    with open(REQUESTS, "a") as requests:
        requests.write(json.dumps(dict(module.params, module="yum"), sort_keys=True) + "\n")
    with open(PACKAGES, "a+") as packages:
        packages.seek(0)
        installed = packages.read().split()
        missing = [name for name in module.params["name"] if name not in installed]
        reason = unusable(missing)
        if reason:
            module.fail_json(msg=reason)
        if missing:
            install(missing)
        packages.write("".join(name + "\n" for name in missing))
    module.exit_json(changed=bool(missing))


if __name__ == "__main__":
    main()
