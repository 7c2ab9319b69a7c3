# -*- coding: utf-8 -*-
"""What an OMERO.web is that was installed in another way, read off its host, and the variables that make the same site.

The service user may have written nearly all of it: its configuration, the names of packages, the arguments of its
process. So whatever is below its directories is read with no more rights than that user has, and up to a limit.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import errno
import fnmatch
import io
import json
import os
import pwd
import re
import stat
from xml.parsers import expat

from ansible.module_utils.common.text.converters import to_native, to_text
from ansible.module_utils.omero_secrets import secrecy
from ansible.module_utils.omero_web_generation import acting_as
from ansible.module_utils.omero_web_host import (
    Problem,
    destination_of,
    listeners,
    listing,
    unit_of_process,
)
from ansible.module_utils.omero_web_http import host_and_port
from ansible.module_utils.omero_web_nginx_site import differences, parsed, sites_to

# What every OMERO.web since 5.2 is run as.
APPLICATION = "omeroweb.wsgi:application"
OWN_UNIT = re.compile(r"omero-web(-[a-z0-9]+)?(-probe)?@\d+\.service\Z")
PROPERTY = re.compile(r"omero\.[\w.-]{1,200}\Z")
LARGEST_FILE = 1048576
MOST_NAMES = 5000
DISTRIBUTION = re.compile(r"([A-Za-z0-9][A-Za-z0-9._]*?)-(\d[A-Za-z0-9.+!]*?)(?:-py\d[.\d]*)?\.(?:dist|egg)-info\Z")
REQUIREMENT = re.compile(r"(?m)^Requires-Dist: *([A-Za-z0-9][A-Za-z0-9._-]*)")
# Of every virtualenv, or of every release.
OF_NO_INTEREST = ("gunicorn", "omero-py", "omero-web", "pip", "pkg-resources", "setuptools", "wheel", "zeroc-ice")
FILE_SESSIONS = ("omeroweb.filesessionstore", "django.contrib.sessions.backends.file")
NUMBER = re.compile(r"\d{1,6}\Z")
# The variables of the role that stand for properties, and what these must be like for it.
VARIABLES = {
    "omero.web.application_server.max_requests": ("omero_web_max_requests", NUMBER),
    "omero.web.prefix": ("omero_web_prefix", re.compile(r"(/[\w.~-]+)+\Z")),
    "omero.web.wsgi_args": ("omero_web_wsgi_args", re.compile(r"[ -~]+\Z")),
    "omero.web.wsgi_timeout": ("omero_web_timeout", NUMBER),
    "omero.web.wsgi_worker_class": ("omero_web_worker_class", re.compile(r"(sync|gevent)\Z")),
    "omero.web.wsgi_workers": ("omero_web_workers", NUMBER),
}
# What follows from how the role runs OMERO.web, and why, where somebody would miss it.
DROPPED = {
    "omero.web.application_server": "",
    "omero.web.application_server.port": "",
    "omero.web.logdir": "its log is in var/log of omero_web_basedir",
    "omero.web.nginx_server_extra_config": "",
    "omero.web.static_root": "each release has its own static files",
}


# --- reading ----------------------------------------------------------------------------------------------------------


def text_in(*path):
    """Return the text of a regular file, up to a limit; None if there is none that may be read."""
    try:
        handle = os.open(os.path.join(*path), os.O_RDONLY | os.O_NONBLOCK)
    except (EnvironmentError, ValueError):
        return None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_FILE:
        os.close(handle)
        return None
    with os.fdopen(handle, "rb") as source:
        return source.read(LARGEST_FILE).decode("utf-8", "replace")


def names_in(directory, pattern):
    try:
        return sorted(fnmatch.filter(listing(directory), pattern))[:MOST_NAMES]
    except OSError as error:
        if error.errno != errno.EACCES:
            raise
        return []


def properties_in(text, profile):
    """Return the properties of the profile that is in use, by what config.xml says."""
    profiles, inside = {}, [None]
    parser = expat.ParserCreate()

    def refuse(*dummy):
        raise Problem("config.xml has a document type declaration, which OMERO never writes")

    def start(tag, attributes):
        if tag == "properties":
            inside[0] = profiles.setdefault(attributes.get("id"), {})
        elif tag == "property" and inside[0] is not None and "name" in attributes:
            inside[0][attributes["name"]] = attributes.get("value", u"")

    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text.encode("utf-8"), True)
    except expat.ExpatError as error:
        raise Problem("config.xml is damaged: %s" % expat.ErrorString(error.code))
    active = profiles.get("__ACTIVE__", {}).get("omero.config.profile", "default")
    return dict((key, value) for key, value in profiles.get(profile or active, {}).items()
                if not key.startswith("omero.config."))


def packages_in(venv):
    """Return the versions of the packages of a virtualenv by their names, and the names that others of them need."""
    versions, needed = {}, set()
    for lib in names_in(os.path.join(venv, "lib"), "python*"):
        directory = os.path.join(venv, "lib", lib, "site-packages")
        for name in names_in(directory, "*-info"):
            found = DISTRIBUTION.match(name)
            if found:
                versions[normalized(found.group(1))] = to_native(found.group(2))
                metadata = text_in(directory, name, "METADATA") or u""
                needed.update(normalized(one) for one in REQUIREMENT.findall(metadata))
    return versions, needed


def normalized(name):
    return re.sub(r"[-_.]+", "-", to_native(name)).lower()


# --- the process ------------------------------------------------------------------------------------------------------


def processes(proc="/proc"):
    """Return the masters of gunicorn that run an OMERO.web which is not the role's."""
    pids = sorted(int(name) for name in os.listdir(proc) if name.isdigit())
    commands = dict((pid, words_in(proc, pid, "cmdline")) for pid in pids)
    ours = dict((pid, words) for pid, words in commands.items() if any(APPLICATION in word for word in words))
    masters = [pid for pid in sorted(ours) if parent_of(pid, proc) not in ours]
    known = [process(pid, ours[pid], proc) for pid in masters]
    return [one for one in known if one and not OWN_UNIT.match(one["unit"])]


def words_in(proc, pid, name):
    try:
        with open(os.path.join(proc, str(pid), name), "rb") as source:
            content = source.read(LARGEST_FILE)
    except EnvironmentError:
        return []  # It has ended.
    return [to_native(word, errors="surrogate_or_replace") for word in content.split(b"\0")[:-1]]


def parent_of(pid, proc):
    found = re.search(r"(?m)^PPid:\s+(\d+)", text_of_proc(proc, pid, "status"))
    return int(found.group(1)) if found else 0


def text_of_proc(proc, pid, name):
    try:
        with io.open(os.path.join(proc, str(pid), name), encoding="utf-8", errors="replace") as source:
            return source.read(LARGEST_FILE)
    except EnvironmentError:
        return u""


def process(pid, words, proc):
    """Return what a process says of its OMERO.web; None if that is not enough."""
    options = dict((words[place], words[place + 1]) for place in range(len(words) - 1))
    pid_file, address = options.get("-p", options.get("--pid", "")), options.get("--bind", options.get("-b", ""))
    uid = re.search(r"(?m)^Uid:\s+(\d+)", text_of_proc(proc, pid, "status"))
    if not (uid and int(uid.group(1)) and pid_file.endswith("/var/django.pid") and re.search(r":\d+\Z", address)):
        return None
    environment = dict(word.split("=", 1) for word in words_in(proc, pid, "environ") if "=" in word)
    python = next((word for word in words if "/bin/" in word), "")
    namespaces = [destination_of(os.path.join(proc, one, "ns/mnt")) for one in (str(pid), "self")]
    return {
        "pid": pid,
        "uid": int(uid.group(1)),
        "unit": unit_of_process(pid, proc),
        "address": address,
        "omerodir": os.path.dirname(os.path.dirname(pid_file)),
        "venv": python.rpartition("/bin/")[0],
        "profile": environment.get("OMERO_CONFIG", ""),
        "tmpdir": environment.get("TMPDIR", "/tmp"),
        "has_own_mounts": namespaces[0] != namespaces[1],
    }


# --- the host ---------------------------------------------------------------------------------------------------------


def found_on_host(port, commands, proc="/proc", nginx="/etc/nginx"):
    """Return all that is known of the OMERO.web of a host, secrets included."""
    files = [(path, text_in(path)) for path in nginx_files(nginx)]
    trees = [(path, parsed(text)) for path, text in files if text]
    running = [dict(one, sites=sites_to(trees, host_and_port(one["address"]))) for one in processes(proc)]
    if port:
        running = [one for one in running if host_and_port(one["address"])[1] == port]
    elif len(running) > 1:
        running = [one for one in running if one["sites"]]
    if len(running) != 1:
        raise Problem(
            "%s; %s" % (
                ("more than one OMERO.web runs that is not the role's, at %s" % " and ".join(
                    one["address"] for one in running), "say which by its port, as -e omero_web_adopt_port=4080")
                if running else ("no OMERO.web runs that is not the role's%s" % (" at port %d" % port if port else ""),
                                 "start it")))
    (one,) = running
    account = pwd.getpwuid(one["uid"])
    os.setgroups([])
    with acting_as(one["uid"], account.pw_gid):
        known = read_as_service(one)
    if known["settings"] is None:
        raise Problem("%s/etc/grid/config.xml cannot be read as %s" % (one["omerodir"], account.pw_name))
    unit = one["unit"] if is_run_by(one["unit"], one["pid"], commands) else ""
    own = {"unit": unit, "user": account.pw_name, "free_port": free_port(host_and_port(one["address"])[1], proc)}
    return dict(dict(one, **own), **known)


def is_run_by(unit, pid, commands):
    """Tell whether a unit is there to run OMERO.web: what cron or a login has started is in a group of theirs."""
    if not unit:
        return False
    shown = commands.run("systemctl", "show", "--property=MainPID,ExecStart", unit).output
    return re.search(r"(?m)^MainPID=%d$" % pid, shown) is not None or "omero" in shown.lower()


def nginx_files(nginx):
    """Return the paths of the sites that nginx reads as it comes."""
    read = (("conf.d", "*.conf"), ("sites-enabled", "*"))
    return [os.path.join(nginx, directory, name) for directory, pattern in read
            for name in names_in(os.path.join(nginx, directory), pattern)]


def read_as_service(one):
    omerodir = one["omerodir"]
    text = text_in(omerodir, "etc/grid/config.xml")
    versions, needed = packages_in(one["venv"])
    old = re.search(r'omero_version *= *"([\d.]+)', text_in(omerodir, "lib/python/omero_version.py") or u"")
    return {
        "settings": None if text is None else properties_in(text, one["profile"]),
        "secret_key": (text_in(omerodir, "var/django_secret_key") or u"").strip(),
        "release": to_native(old.group(1)) if old else versions.get("omero-web", ""),
        "packages": versions,
        "needed": sorted(needed),
    }


def free_port(port, proc):
    """Return a port next to one, where nobody listens."""
    return next(one for one in range(port + 1, 65536) if not listeners(one, proc))


# --- the variables ----------------------------------------------------------------------------------------------------


def adopted(found):
    """Return the variables that make the same site, its secrets, and what whoever runs the role is to see to."""
    remarks = []
    settings, secrets = split(found["settings"], remarks)
    if found["secret_key"] and "omero.web.secret_key" not in secrets:
        secrets["omero.web.secret_key"] = found["secret_key"]
    variables = {"omero_web_release": found["release"], "omero_web_former": former(found, settings, remarks)}
    if not found["release"]:
        remarks.append("Which release it is was not found; omero_web_release is to say.")
    variables.update(site(found, settings, remarks))
    apps = [app(name, found["packages"], remarks) for name in listed(settings.pop("omero.web.apps", ""))]
    if apps:
        variables["omero_web_apps"] = apps
    packages = more_packages(found, apps)
    if packages:
        variables["omero_web_packages"] = packages
    for name, (variable, pattern) in sorted(VARIABLES.items()):
        if pattern.match(settings.get(name, u"")):
            value = settings.pop(name)
            variables[variable] = int(value) if pattern is NUMBER else value
    config = dict((name, native(value)) for name, value in settings.items() if name not in DROPPED)
    config["omero.web.application_server.port"] = found["free_port"]
    variables["omero_web_config"] = config
    for name, why in sorted(DROPPED.items()):
        if why and name in settings:
            remarks.append("%s is left out: %s." % (name, why))
    if found["user"] != "omero-web":
        remarks.append("It runs as %s, and the role's as omero-web (omero_web_user): see that this user may read what "
                       "settings name by its path, if any do." % found["user"])
    if not found["unit"]:
        remarks.append("No unit runs it: keep whatever starts it, such as cron, from doing so, and end it, once the "
                       "role's OMERO.web serves.")
    return {"variables": variables, "secrets": dict((key, native(value)) for key, value in secrets.items()),
            "remarks": remarks}


def split(properties, remarks):
    """Return OMERO.web's own settings, and those of them that are secrets."""
    ours = dict((key, value) for key, value in properties.items() if PROPERTY.match(key))
    others = sorted(key for key in ours if not key.startswith("omero.web."))
    if others or len(ours) < len(properties):
        remarks.append("These are no settings of OMERO.web's and are left out: %s." % ", ".join(
            others + ["some with strange names"] * (len(ours) < len(properties))))
    ours = dict((key, value) for key, value in ours.items() if key.startswith("omero.web."))
    secrets = dict((key, value) for key, value in ours.items() if secrecy(key, value))
    return dict((key, value) for key, value in ours.items() if key not in secrets), secrets


def former(found, settings, remarks):
    """Return omero_web_former."""
    django = ".".join(found["packages"].get("django", "").split(".")[:2])
    known = {"address": found["address"], "unit": found["unit"], "user": found["user"], "django": django}
    if found["sites"]:
        known["site"] = found["sites"][0]["path"]
    else:
        remarks.append("No site of nginx leads to it; omero_web_former is to have one, or to be left out.")
    if settings.get("omero.web.session_engine", FILE_SESSIONS[0]) in FILE_SESSIONS:
        if found["has_own_mounts"]:
            remarks.append(
                "Its sessions are where nobody else sees them (PrivateTmp): users will have to log in again.")
        else:
            known.update(sessions=found["tmpdir"], cookie=settings.get("omero.web.session_cookie_name", "sessionid"))
    return known


def site(found, settings, remarks):
    """Return what the site in nginx says, in variables of the role's."""
    extra = listed(settings.get("omero.web.nginx_server_extra_config", ""))
    variables = {"omero_web_nginx_server": "\n".join(map(to_text, extra)) + "\n"} if extra else {}
    for one in found["sites"][1:]:
        remarks.append("%s leads to it as well, and stays as it is." % one["path"])
    for one in found["sites"][:1]:
        variables.update(one["variables"])
        remarks.extend("%s has what the role does not know: %s" % (one["path"], what)
                       for what in differences(one, "\n".join(map(to_text, extra))))
    return variables


def app(name, packages, remarks):
    """Return an app with its package, by what both are called."""
    package = normalized(name)
    if package not in packages:
        remarks.append("Which package has the app %s was not found: give it in omero_web_apps." % name)
    return {"name": name, "package": "%s==%s" % (package, packages[package]) if package in packages else package}


def more_packages(found, apps):
    """Return what else was installed for itself, and for no other package."""
    of_apps = set(one["package"].partition("==")[0] for one in apps)
    skipped = of_apps | set(OF_NO_INTEREST) | set(found["needed"])
    if "omero-web" not in found["packages"]:
        return []  # Of an archive, whose packages its own list names.
    return ["%s==%s" % (name, version) for name, version in sorted(found["packages"].items()) if name not in skipped]


def listed(text):
    found = native(text)
    return found if isinstance(found, list) else []


def native(text):
    """Return the list or the dictionary that a property has, as OMERO.web reads it; any other text as it is."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            pass
    return text
