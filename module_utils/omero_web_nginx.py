# -*- coding: utf-8 -*-
"""The site of OMERO.web in nginx, tested before nginx can come to read it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import shutil
import stat
import tempfile
import time

from ansible.module_utils.omero_web_host import Problem, destination_of, point, read, remove_file, write

NGINX = "/etc/nginx"
NGINX_SERVICE = "nginx.service"
# Those that a reload replaces finish their requests and say so there.
ACCEPTING_WORKER = "^nginx: worker process *$"
# How long it may take until none of them accepts a connection any more, and how often that is asked.
SECONDS_TO_RELOAD = 10
SECONDS_BETWEEN_LOOKS = 0.02
# What nginx says before it comes to the matter.
NOISE = re.compile(r"^(?:nginx: )?(?:\d{4}/\d\d/\d\d [\d:]+ )?(?:\[\w+\] )?(?:\d+#\d+: )?")


class Nginx(object):
    """The site in nginx, and what of the distribution's own would answer in its place."""

    # The test of what is not there yet: all that nginx reads, with the new files in place, laid over what it reads now.
    TEST = 'mount --make-rprivate / && mount --bind "$1" "$2" && exec nginx -t -q'

    def __init__(self, host, systemd, default_site):
        self.host, self.systemd, self.commands = host, systemd, systemd.commands
        self.default_site = default_site
        self.removed = None

    def test(self, files):
        """Let nginx read its configuration as it would be with these files ({path: bytes}, None for one that goes)."""
        if self.commands.run("unshare", "--mount", "true").code != 0:
            return  # A container that may not mount: it is tested in place, and undone, before nginx hears of it.
        scratch = tempfile.mkdtemp(prefix="omero-web-nginx-", dir=self.host.path("/run"))
        try:
            copy = os.path.join(scratch, "nginx")
            shutil.copytree(self.host.path(NGINX), copy, symlinks=True, ignore=_what_cannot_be_copied)
            for path, content in files.items():
                if path.startswith(NGINX + "/"):
                    _put(os.path.join(copy, os.path.relpath(path, NGINX)), content)
            if self.default_site:
                path = os.path.join(copy, os.path.relpath(self.default_site["path"], NGINX))
                _put(path, self._without_default_site(path), mode=0o644)
            done = self.commands.run("unshare", "--mount", "sh", "-c", self.TEST, "sh", copy, NGINX)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if done.code != 0:
            raise Problem(_words_of_nginx(done))

    def test_in_place(self):
        done = self.commands.run("nginx", "-t", "-q")
        if done.code != 0:
            raise Problem(_words_of_nginx(done))

    def remove_default_site(self):
        """Remove what would answer in place of OMERO.web, and remember it."""
        path = self.host.path(self.default_site["path"]) if self.default_site else ""
        if not path or not os.path.lexists(path):
            return
        content = self._without_default_site(path)
        if content is None:
            self.removed = (path, destination_of(path), None if os.path.islink(path) else read(path))
            remove_file(path)
        elif content != read(path):
            self.removed = (path, None, read(path))
            write(path + time.strftime(".%Y-%m-%d@%H:%M:%S~"), read(path), stat.S_IMODE(os.stat(path).st_mode))
            write(path, content, stat.S_IMODE(os.stat(path).st_mode))

    def put_default_site_back(self):
        if self.removed:
            path, destination, content = self.removed
            if destination is None:
                write(path, content)
            else:
                point(path, destination)

    def _without_default_site(self, path):
        if not self.default_site.get("part"):
            return None
        content = (read(path) or b"").decode("utf-8", "surrogateescape" if str is not bytes else "strict")
        comment = "    # The default server was here; it would answer in place of OMERO.web.\n"
        content = re.sub(self.default_site["part"], lambda dummy: comment, content)
        return content.encode("utf-8", "surrogateescape" if str is not bytes else "strict")

    def bring_up_to_date(self):
        """Let nginx read its configuration, starting it if need be."""
        if self.systemd.state(NGINX_SERVICE) == "active":
            self.systemd.do("reload", NGINX_SERVICE)
        else:
            self.systemd.start(NGINX_SERVICE)

    def bring_up_to_date_everywhere(self, meanwhile=lambda: None):
        """The same, and wait until no process of nginx takes requests that has not read it.

        `meanwhile` is done right before and right after, and again and again until then.
        """
        before = self._workers()
        meanwhile()
        self.bring_up_to_date()
        meanwhile()
        deadline = time.time() + SECONDS_TO_RELOAD
        while before & self._workers() and time.time() < deadline:
            meanwhile()
            time.sleep(SECONDS_BETWEEN_LOOKS)
        meanwhile()

    def _workers(self):
        """Return the process ids of those that accept connections."""
        shown = self.commands.run("systemctl", "show", "--property=MainPID", NGINX_SERVICE).output
        main = shown.strip().replace("MainPID=", "") or "0"
        return set(self.commands.run("pgrep", "-P", main, "-f", ACCEPTING_WORKER).output.split())


def _what_cannot_be_copied(directory, names):
    """Return what is neither a file nor a directory nor a link."""
    modes = dict((name, os.lstat(os.path.join(directory, name)).st_mode) for name in names)
    return [name for name, mode in modes.items()
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode))]


def _put(path, content, mode=0o600):
    """Put a file into the copy that is tested; without following what is there."""
    if os.path.lexists(path):
        os.unlink(path)
    if content is not None:
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as target:
            target.write(content)


def _words_of_nginx(done):
    lines = (done.errors or done.output).strip().splitlines()
    lines = [NOISE.sub("", line) for line in lines if " test failed" not in line]
    return "; ".join(lines) or "nginx -t ended with code %d" % done.code
