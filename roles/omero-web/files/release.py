"""Run by the Python of a release while that is built: what takes OMERO's own library, and the manifest at the end."""

from __future__ import print_function

import json
import os
import re
import subprocess
import sys
import time

# User names, passwords and tokens of URLs.
USERINFO = re.compile(r"(?<=://)[^/?#\s]*(?=@)")
ARGUMENT = re.compile(r"(?i)(?<=[?&;])([^=&;#\s]*(?:auth|credential|key|passw|secret|sig|token)[^=&;#\s]*=)[^&;#\s]+")


def properties_of(settings, append):
    """Return the texts that OMERO.web parses back to the settings, lists with what is to be appended to them."""
    texts = dict((key, value if isinstance(value, type(u"")) else json.dumps(value)) for key, value in settings.items())
    for key, items in append.items():
        texts[key] = json.dumps(json.loads(texts.get(key) or "[]") + items)
    return texts


def configure(configuration, path):
    """Write the configuration with which static files are collected."""
    from omero.config import ConfigXml

    config = ConfigXml(path)
    for key, text in properties_of(**json.load(open(configuration))).items():
        config[key] = text
    config.close()


def manifest_of(definition, frozen):
    """Return what a release says of itself: what defines it, and what it has."""
    django = re.search(r"(?mi)^django==(\d+\.\d+)", frozen).group(1)
    packages = ARGUMENT.sub(r"\1********", USERINFO.sub("********", frozen)).splitlines()
    built = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    return dict(definition, packages=packages, built=built, django=django)


def complete(definition, path):
    """Write the manifest, once everything else has reached the disk: with it, the release counts."""
    freeze = [sys.executable, "-m", "pip", "freeze", "--disable-pip-version-check"]
    frozen = subprocess.check_output(freeze).decode("utf-8")
    subprocess.call(["sync"])
    with open(path + ".new", "w") as target:
        json.dump(manifest_of(json.load(open(definition)), frozen), target, indent=4, sort_keys=True)
        target.write("\n")
        target.flush()
        os.fsync(target.fileno())
    os.rename(path + ".new", path)


if __name__ == "__main__":
    {"configure": configure, "complete": complete}[sys.argv[1]](*sys.argv[2:])
