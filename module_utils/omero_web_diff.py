# -*- coding: utf-8 -*-
"""In what two generations differ: release, packages, properties, and the files that are installed; never a secret."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import difflib
import glob
import os
from xml.etree import ElementTree

from ansible.module_utils.common.text.converters import to_text
from ansible.module_utils.omero_secrets import masked
from ansible.module_utils.omero_web_host import MANIFEST, Problem, read, read_json, release_of

CONFIG = "etc/grid/config.xml"
PROFILE = "omero.config.profile"
# As people know them; that of a certificate has its key in it.
FILES = ("omero-web.service", "omero-web.socket", "nginx.conf", "gunicorn.conf.py")
SECRET_FILES = ("tls.pem",)


def properties_of(content):
    """Return the properties that a config.xml has in its active profile."""
    profiles = {}
    for block in ElementTree.fromstring(content).iter("properties"):
        found = dict((one.get("name"), one.get("value") or u"") for one in block.iter("property"))
        profiles[block.get("id")] = found
    active = profiles.pop("__ACTIVE__", {}).get(PROFILE, "default")
    return profiles.get(active, {})


class Described(object):
    """What a generation is made of, as it lies on the disk."""

    def __init__(self, basedir, number):
        self.directory = os.path.join(basedir, "generations", str(number))
        self.number = number
        if not os.path.isdir(self.directory):
            raise Problem("there is no generation %d" % number)

    def texts(self):
        """Return what people compare, by what it is called: lists of lines."""
        manifest = read_json(self.directory, MANIFEST) or {}
        about = ["OMERO.web %s" % manifest.get("omero_web", "unknown"), "as %s" % release_of(self.directory)]
        known = {"release": about, "packages": self.packages(), "properties": self.properties_in_public()}
        for name in FILES:
            known[name] = self.renumbered(to_text(read(self.directory, name) or b"")).splitlines()
        return known

    def renumbered(self, text):
        """Return a text without the number of this generation, in which any two differ."""
        for before in u"omero-web@", u"generations/", u"omero-web-":
            text = text.replace(before + str(self.number), before + u"N")
        return text

    def properties(self):
        content = read(self.directory, CONFIG)
        return properties_of(content) if content else {}

    def properties_in_public(self):
        """Return the properties as anyone may see them."""
        return [u"%s=%s" % (key, masked(key, value)) for key, value in sorted(self.properties().items())]

    def packages(self):
        """Return what is installed in its virtualenv, with versions."""
        paths = glob.glob(os.path.join(self.directory, "release/venv/lib/python*/site-packages/*.dist-info"))
        names = [os.path.basename(path)[:-len(".dist-info")] for path in paths]
        return sorted((name.replace("-", " ") for name in names), key=lambda name: name.lower())

    def secrets(self):
        """Return what is not for anyone to see, to be compared and never shown."""
        known = dict((key, value) for key, value in self.properties().items() if masked(key, value) != value)
        return dict(known, **dict((name, read(self.directory, name)) for name in SECRET_FILES))


def lines_of_difference(basedir, old, new):
    """Return the lines that tell in what a generation differs from another."""
    before, after = Described(basedir, old), Described(basedir, new)
    old_texts, new_texts = before.texts(), after.texts()
    lines = []
    for name in ("release", "packages", "properties") + FILES:
        context = 2 if name in FILES else 0
        found = list(difflib.unified_diff(old_texts[name], new_texts[name], n=context, lineterm=""))
        lines += [u"%s:" % name] + [u"  " + line for line in found[2:] if not line.startswith("@@")] if found else []
    old_secrets, new_secrets = before.secrets(), after.secrets()
    names = sorted(set(old_secrets) | set(new_secrets))
    changed = [name for name in names if old_secrets.get(name) != new_secrets.get(name)]
    return lines + [u"secrets that differ: " + ", ".join(changed)] if changed else lines
