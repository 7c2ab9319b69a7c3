# -*- coding: utf-8 -*-
"""What helpers elsewhere want to know of a site, in one archive without secrets, which can go to a public forum."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import io
import os
import re
import stat
import tarfile
import time

from ansible.module_utils.common.text.converters import to_text
from ansible.module_utils.omero_secrets import public_text
from ansible.module_utils.omero_web_diff import Described, lines_of_difference
from ansible.module_utils.omero_web_host import MANIFEST, Problem, in_words, linked_generation, read_json
from ansible.module_utils.omero_web_logs import last_lines, shown
from ansible.module_utils.omero_web_status import secrets_of

SECONDS = 20
LINES_OF_LOGS = 5000
# Of whatever a command has to say.
LONGEST = 1000000
LONGEST_KEY = 4096
READ_ME = u"""\
What omero-web bundle found on {host} at {time}.

Secrets of OMERO.web's configuration, session keys, cookies, and addresses of users are masked. Names of users, images
and hosts may be here and there: look through it before you give it to others.
"""
# How nginx -T has the beginning of a file.
NGINX_FILE = re.compile(r"(?m)^# configuration file (.+):\n")
NGINX_PLACE = re.compile(r"\b(?:listen|server_name)\s[^;{}]*;")


def questions(name, number):
    """Return what a host is asked, as commands by the file that has their answers."""
    own = ["%s@%d.service" % (name, number)] + [name + end for end in (".socket", ".target", "-boot.service")]
    return {
        "units.txt": [["systemctl", "--no-pager", "--full", "--lines=0", "status", "nginx.service"] + own,
                      ["systemctl", "--no-pager", "cat"] + own],
        "host.txt": [["cat", "/etc/os-release"], ["uname", "-a"], ["systemctl", "--version"], ["nginx", "-v"],
                     ["uptime"], ["free", "-m"], ["df", "-h"], ["df", "-i"], ["ss", "-ltn"]],
    }


def answers(commands, asked):
    """Return what commands say, each below itself; one that is not there says that."""
    parts = []
    for command in asked:
        done = commands.run(*command, seconds=SECONDS)
        parts.append(u"$ %s\n%s%s" % (u" ".join(command), to_text(done.output), to_text(done.errors)))
    return u"\n".join(parts)


def nginx_configuration(text, own):
    """Return of nginx's configuration its own and the site's; of other sites, where they listen and by which names."""
    parts = NGINX_FILE.split(text)
    found = parts[:1]
    for begin in range(1, len(parts), 2):
        path, content = parts[begin:begin + 2]
        is_other = path not in own and os.path.basename(os.path.dirname(path)) in ("conf.d", "sites-enabled")
        shown = u"\n".join(NGINX_PLACE.findall(content)) + u"\n" if is_other else content
        found.append(u"# configuration file %s:\n%s" % (path, shown))
    return u"".join(found)


def host(commands, name, basedir):
    """Return what the host says of the site, as texts by name."""
    number = linked_generation(basedir, "current")
    texts = dict((file, answers(commands, asked)) for file, asked in questions(name, number).items())
    manifest = read_json(basedir, "generations", str(number), MANIFEST) or {}
    texts["nginx.txt"] = nginx_configuration(answers(commands, [["nginx", "-T"]]),
                                             manifest.get("installed", {}).values())
    return texts


def generations(basedir):
    """Return what the live generation is made of, and in what it differs from the one before, as texts by name."""
    new, old = linked_generation(basedir, "current"), linked_generation(basedir, "previous")
    texts = {}
    try:
        live = Described(basedir, new)
        texts["packages.txt"] = u"\n".join(live.packages())
        texts["configuration.txt"] = u"\n".join(live.properties_in_public())
        texts["diff.txt"] = u"\n".join(lines_of_difference(basedir, old, new))
    except Exception as error:  # Of what is broken the rest is told.
        texts["generations.txt"] = u"Not all can be told of generation %d: %s" % (new, in_words(error))
    return texts


def logs(journal, files):
    """Return the last lines of all logs but nginx's of who asked for what, which is nobody else's matter."""
    files = [log for log in files if log.source != "nginx access"]
    return u"\n".join(shown(line) for line in last_lines(journal, files, LINES_OF_LOGS))


def all_secrets(basedir):
    """Return the texts that nobody is to see: of the configurations, Django's key, and the way into a closed site."""
    state = read_json(basedir, "maintenance", "state.json") or {}
    return secrets_of(basedir) + [state.get("token"), key_of_django(os.path.join(basedir, "var", "django_secret_key"))]


def key_of_django(path):
    """Return the key, which lies where the service can write: no link is followed, and nothing but a file is read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return u""
    try:
        is_file = stat.S_ISREG(os.fstat(handle).st_mode)
        return os.read(handle, LONGEST_KEY).decode("utf-8", "replace").strip() if is_file else u""
    finally:
        os.close(handle)


def pack(path, directory, texts, secrets):
    """Write texts by name, as anyone may see them, into a new archive, which only root can read."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno == errno.EEXIST:
            raise Problem("%s is there already; name another file" % path)
        raise
    try:
        with os.fdopen(handle, "wb") as target, tarfile.open(fileobj=target, mode="w:gz") as archive:
            for name, text in sorted(texts.items()):
                content = public_text(text[-LONGEST:], secrets).encode("utf-8", "replace")
                about = tarfile.TarInfo(str("%s/%s" % (directory, name)))
                about.size, about.mode, about.mtime = len(content), 0o600, int(time.time())
                archive.addfile(about, io.BytesIO(content))
    except EnvironmentError:  # Half of one is of no use to anybody.
        os.unlink(path)
        raise
