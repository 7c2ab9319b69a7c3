# -*- coding: utf-8 -*-
"""The state of a site on its host: what is measured, what follows from it, and how people are told. Nothing changes."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import calendar
import os
import re
import time
from collections import namedtuple

from ansible.module_utils.omero_secrets import masked, public_text
from ansible.module_utils.omero_web_diff import CONFIG, properties_of
from ansible.module_utils.omero_web_greetings import (
    connected,
    reach_servers,
    reach_store,
    servers_in,
    store_in,
)
from ansible.module_utils.omero_web_history import CUT_OFF, MOST, changes
from ansible.module_utils.omero_web_host import (
    ACTIVATED,
    Problem,
    destination_of,
    listing,
    read,
    read_json,
    remove_file,
)
from ansible.module_utils.omero_web_http import (
    LOGIN_PAGE,
    Place,
    get_once,
    host_and_port,
    place_of,
    tls_over,
)
from ansible.module_utils.omero_web_logs import CONTROL, Journal, LogFile
from ansible.module_utils.omero_web_look import HIERARCHIES, look_at_generations, processes, sleeps
from ansible.module_utils.omero_web_nginx import NGINX_SERVICE, Nginx
from ansible.module_utils.omero_web_trial import static_files_in

OK, ATTENTION, DOWN = "ok", "attention", "down"
LEVELS = (OK, ATTENTION, DOWN)

# In seconds.
ANSWER_TIMEOUT = 5
COMMAND_TIMEOUT = 2
A_DAY = 24 * 3600
# What a generation takes on disk, and what a log and sessions want meanwhile.
LEAST_FREE_MB = 256
LEAST_FREE_INODES = 1000
CERTIFICATE_DAYS = 14
# Of the errors of a day, these lines are read and these kinds told.
MOST_LINES = 2000
MOST_KINDS = 5
LONGEST_ERROR = 160

# What a line of a log is an error by, and what in it tells one occurrence from another.
IS_ERROR = re.compile(r"\[(?:ERROR|CRITICAL|error|crit|alert|emerg)\]|\b(?:ERROR|CRITICAL) \[|: Failed |^Failed |"
                      r"Main process exited|oom-kill")
OWN_WORDS = re.compile(r"^[\d/:., -]+|\[[\d :+-]{19,}\]|\[\d+\]|\(proc\.\d+\)|\d+#\d+: |\*\d+ |"
                       r", (?:client|host|referrer): .*")
NUMBERS = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\d+")
IS_TIMEOUT = re.compile(r"WORKER TIMEOUT")
IS_KILLED = re.compile(r"was sent SIGKILL|oom-kill|out of memory", re.IGNORECASE)
# A name of a site, not what nginx has for "any", nor a pattern.
IS_NAME = re.compile(r"[a-z0-9][a-z0-9.:-]*$")

Finding = namedtuple("Finding", "level what remedy")


# --- what is measured -------------------------------------------------------------------------------------------------


def measure(host, commands, systemd, settings):
    """Return what there is to be known of a site, as plain data."""
    name, basedir = settings["name"], host.path(settings["basedir"])
    look = look_at_generations(name, basedir, systemd, ANSWER_TIMEOUT, (NGINX_SERVICE,))
    # The link may lead to what somebody has removed.
    has_generation = os.path.isdir(os.path.join(basedir, "generations", str(look["current"])))
    number = look["current"] if has_generation else 0
    live = os.path.join(basedir, "generations", str(number))
    manifest = next((one["manifest"] for one in look["generations"] if one["number"] == number), {})
    properties = properties_in(live)
    service = "%s@%d.service" % (name, number)
    has_nginx = settings["change"]["nginx"] is not None
    group = look["units"].get(service, {}).get("control_group", "")
    is_asked = "host" in manifest and not sleeps(look["units"], service, manifest.get("socket"))
    return {
        "time": time.time(),
        "name": name,
        "title": settings["title"],
        "host": settings["rollback"]["host"],
        "basedir": settings["basedir"],
        "generation": number,
        "leads_to": destination_of(os.path.join(basedir, "current")) or "",
        "release": manifest.get("omero_web", ""),
        "has_release": bool(number) and os.path.isdir(os.path.join(live, "release")),
        "activated": read_json(live, ACTIVATED) or {},
        "good": [one["number"] for one in look["generations"] if not one["failed"] and one["number"] != number],
        "unit": dict(look["units"].get(service, {}), name=service, **details_of_unit(commands, service)),
        "units": dict((unit, known["active"]) for unit, known in look["units"].items()),
        "socket": manifest.get("socket", name + ".socket"),
        "is_enabled": look["units"].get(name + ".target", {}).get("enabled") == "enabled",
        "workers": workers(group),
        "nginx": {"is_wanted": has_nginx, "complaint": complaint_of_nginx(host, systemd) if has_nginx else ""},
        "tls": handshake(manifest) if is_asked and has_nginx else {},
        "layers": layers(manifest, has_nginx) if is_asked else [],
        "servers": reach_servers(servers_in(properties)) if number else [],
        "store": reach_store(*store_in(properties)),
        "certificate": certificate(commands, live),
        "is_clock_set": is_clock_set(host, commands),
        "disks": [disk(path) for path in (basedir, os.path.join(basedir, "var"), "/var/log/nginx")
                  if os.path.isdir(path)],
        "read_only": look["read_only"],
        "astray": look["astray"],
        "misplaced": look["misplaced"],
        "runs_deleted_files": look["runs_deleted_files"],
        "hold": look["hold"],
        "maintenance": look["maintenance"],
        "last_change": (changes(basedir, 1) or [{}])[0],
        "given_back": given_back(changes(basedir, MOST)),
        "errors": errors(name, basedir, settings["nginx_logs"], secrets_of(basedir), time.time() - A_DAY),
    }


def given_back(history):
    """Return when the site was given back to the OMERO.web from before the role, if it has it still."""
    done = [one for one in history if one.get("outcome") == "done"]
    return done[-1].get("began", "") if done and done[-1].get("to") == 0 else ""


def properties_in(directory):
    """Return the properties of a generation; none of one whose configuration cannot be read."""
    content = read(directory, CONFIG)
    try:
        return properties_of(content) if content else {}
    except Exception:  # The parsers of two Pythons have different ones.
        return {}


def secrets_of(basedir):
    """Return the secrets of all generations that are there: a log outlives a generation."""
    top = os.path.join(basedir, "generations")
    return [secret for name in listing(top) for secret in secrets_in(properties_in(os.path.join(top, name)))]


def secrets_in(properties):
    """Return the texts that nobody is to see: values of secrets, and each text that is inside of one."""
    hidden = [value for key, value in properties.items() if masked(key, value) != value]
    return [text for value in hidden for text in [value] + re.findall(r'"([^"]{4,})"', value)]


def details_of_unit(commands, unit):
    """Return how a unit ended, if it did, and how often systemd has started it again."""
    shown = commands.run("systemctl", "show", "--property=Result,NRestarts", unit).output
    known = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    return {"result": known.get("Result", ""), "restarts": int(known.get("NRestarts") or 0)}


def workers(group):
    """Return the number of processes in a control group, and their memory: what is shared counts in part, as PSS."""
    pids = processes(group, HIERARCHIES)
    found = [found for found in (re.findall(br"(?m)^Pss: +(\d+)", smaps(pid)) for pid in pids) if found]
    return {"processes": len(pids), "pss_mb": sum(int(kib) for kibs in found for kib in kibs) // 1024}


def smaps(pid):
    """Return what the kernel says of a process's memory, by the short way if it has one."""
    for name in "smaps_rollup", "smaps":
        try:
            with open("/proc/%s/%s" % (pid, name), "rb") as content:
                return content.read()
        except EnvironmentError:
            pass
    return b""


def complaint_of_nginx(host, systemd):
    """Return what nginx has against its configuration. Where it does not run, its test leaves an empty pid file."""
    pid_file = host.path("/run/nginx.pid")
    was_there = os.path.exists(pid_file)
    try:
        Nginx(host, systemd, None).test_in_place()
    except Problem as problem:
        return str(problem)
    finally:
        if not was_there and os.path.exists(pid_file) and not os.path.getsize(pid_file):
            remove_file(pid_file)
    return ""


def layers(manifest, has_nginx):
    """Ask for the login page, and for a file that it names, at each layer from OMERO.web outwards."""
    url = manifest["url"]
    ways = [("OMERO.web", Place(host_and_port(manifest["address"]), False), manifest.get("prefix", ""))]
    if has_nginx:
        ways.append(("nginx", place_of(url)[0], place_of(url)[1]))
    found, body = [], u""
    for layer, place, prefix in ways:
        answered, body = asked(layer, place, prefix + LOGIN_PAGE, manifest["host"])
        found.append(answered)
    names = static_files_in(body, manifest["static_url"])
    if has_nginx and names and manifest["static_url"].startswith("/"):
        place = place_of(url)[0]
        found.append(asked("files", place, manifest["static_url"] + names[0], manifest["host"])[0])
    return found


def asked(layer, place, path, name):
    began = time.time()
    answer = get_once(place, path, name, ANSWER_TIMEOUT)
    known = {"layer": layer, "where": "%s:%d" % place.address, "path": path, "status": answer.status,
             "reason": answer.reason, "generation": answer.generation, "tls": place.tls,
             "milliseconds": int((time.time() - began) * 1000)}
    return known, answer.body


def handshake(manifest):
    """Return by which TLS nginx answers, in what time, and why it does not if so; nothing without TLS."""
    place = place_of(manifest["url"])[0]
    if not place.tls:
        return {}
    version, reason, began = "", "", time.time()
    try:
        connection = tls_over(connected(place.address), re.sub(r":\d+$", "", manifest["host"]))
        version = connection.version()
        connection.close()
    except (EnvironmentError, ValueError) as error:
        reason = getattr(error, "strerror", "") or str(error)
    return {"where": "%s:%d" % place.address, "version": version, "reason": reason,
            "milliseconds": int((time.time() - began) * 1000)}


def certificate(commands, live):
    """Return the path of the site's certificate, when it ends, and the names of the site that it is not for.

    Without TLS, nothing.
    """
    site = (read(live, "nginx.conf") or b"").decode("utf-8", "replace")
    found = re.search(r"(?m)^\s*ssl_certificate (\S+);", site)
    if not found:
        return {}
    shown = commands.run("openssl", "x509", "-noout", "-text", "-in", found.group(1), seconds=COMMAND_TIMEOUT).output
    ends = re.search(r"Not After *: (\w{3} +\d+ [\d:]+ \d{4}) GMT", shown)
    if not ends:
        return {"path": found.group(1)}
    covered = re.search(r"Subject Alternative Name:.*\n *(.*)", shown)
    names = re.findall(r"(?:dns|ip address):([^\s,]+)", covered.group(1).lower()) if covered else []
    return {
        "path": found.group(1),
        "ends": calendar.timegm(time.strptime(ends.group(1), "%b %d %H:%M:%S %Y")),
        "not_for": [name for name in names_of_site(site) if not is_covered(name, names)],
    }


def names_of_site(site):
    """Return the names by which nginx has a site, in their order, without patterns and the host's own ($hostname)."""
    names = [name for found in re.findall(r"(?m)^\s*server_name ([^;]*);", site) for name in found.lower().split()]
    return sorted(set(name for name in names if IS_NAME.match(name)), key=names.index)


def is_covered(name, names):
    """Tell whether a certificate with these names is for this one, as browsers have it."""
    return name in names or "*." + name.partition(".")[2] in names


def is_clock_set(host, commands):
    """Tell whether the clock is set by others, as systemd has it; None where it does not say, or is not to say.

    A container has the clock of its host.
    """
    if os.path.exists(host.path("/run/systemd/container")):
        return None
    shown = commands.run("timedatectl", "show", "--property=NTPSynchronized", seconds=COMMAND_TIMEOUT).output
    return {"NTPSynchronized=yes": True, "NTPSynchronized=no": False}.get(shown.strip())


def disk(path):
    found = os.statvfs(path)
    # Some file systems have no limit on files.
    inodes = found.f_favail if found.f_files else None
    return {"path": path, "free_mb": found.f_bavail * found.f_frsize // 1048576, "free_inodes": inodes}


def errors(name, basedir, nginx_logs, secrets, since):
    """Return the most frequent kinds of errors since a time, as {source, text, count, last}."""
    files = [LogFile("OMEROweb.log", os.path.join(basedir, "var/log/OMEROweb.log"))]
    files += [LogFile("nginx", path) for kind, path in sorted(nginx_logs.items()) if kind == "error"]
    lines = journal_lines(name) + [line for log in files for line in log.lines()[-MOST_LINES:]]
    kinds = {}
    for line in lines:
        if line.time >= since and IS_ERROR.search(line.text):
            source = "OMERO.web's unit" if line.source.startswith(name) else line.source
            text = kind_of(line.text, secrets)
            known = kinds.setdefault((source, text), {"source": source, "text": text, "count": 0, "last": 0})
            known.update(count=known["count"] + 1, last=max(known["last"], line.time))
    return sorted(kinds.values(), key=lambda kind: (-kind["count"], kind["text"]))[:MOST_KINDS]


def journal_lines(name):
    try:
        return Journal(name).lines(MOST_LINES)
    except EnvironmentError:  # There is none.
        return []


def kind_of(text, secrets):
    """Return what is the same in all occurrences of an error, without a secret."""
    text = CONTROL.sub(u" ", NUMBERS.sub(u"N", OWN_WORDS.sub(u"", public_text(text, secrets))))
    return u" ".join(text.split())[:LONGEST_ERROR]


# --- what follows from it ---------------------------------------------------------------------------------------------


def status_of(measured):
    """Return what was measured with its verdict and its findings, the worst first."""
    findings = sorted(causes(measured), key=lambda finding: -LEVELS.index(finding.level))
    verdict = findings[0].level if findings else OK
    return dict(measured, verdict=verdict, findings=[finding._asdict() for finding in findings])


def causes(found):
    """Yield what is not as it should be, with what to do about it."""
    for rule in RULES:
        for finding in rule(found):
            yield finding


def layer(found, name):
    return next((one for one in found["layers"] if one["layer"] == name), {"status": 0, "reason": "was not asked"})


def of_generation(found):
    name = found["name"]
    if found["generation"]:
        return
    if found["leads_to"]:
        yield Finding(DOWN, "current leads to %s, where no generation is" % found["leads_to"], "run site.yml")
    elif found["given_back"]:
        since = worded(found["given_back"])
        yield Finding(ATTENTION, "the OMERO.web from before the role has the site since %s" % since,
                      "run site.yml, which takes over once more")
    else:
        yield Finding(DOWN, "no generation of %s is live" % name, "run site.yml")


def of_unit(found):
    """What keeps OMERO.web itself from answering, from the outermost cause to the innermost."""
    number, unit, page = found["generation"], found["unit"], layer(found, "OMERO.web")
    if not number:
        return
    back = "%s rollback" % found["name"] if found["good"] else "run site.yml"
    start = "systemctl start %s.target" % found["name"]
    if not found["has_release"]:
        level = ATTENTION if page["status"] == 200 else DOWN
        yield Finding(level, "the release of generation %d is gone" % number, "run site.yml, which builds it again")
    elif found["runs_deleted_files"]:
        yield Finding(ATTENTION, "the release was replaced while generation %d runs it" % number, "run site.yml")
    if page["status"] == 200 or not found["has_release"]:
        return
    if found["units"].get(found["socket"]) != "active":
        # One that is not loaded is not among them.
        state = found["units"].get(found["socket"], "inactive")
        yield Finding(DOWN, "%s is %s: nobody listens at %s" % (found["socket"], state, page.get("where")), start)
    elif unit.get("active") == "failed":
        yield Finding(DOWN, "%s has failed (%s)" % (unit["name"], unit["result"]),
                      "%s; if it fails again, %s" % (start, back))
    elif unit.get("active") == "activating" and unit["restarts"]:
        yield Finding(DOWN, "%s does not start, and systemd tries again and again" % unit["name"],
                      "%s logs has the reason; %s" % (found["name"], back))
    elif unit.get("active") not in ("active", "activating", "reloading"):
        asleep = "" if found["layers"] else ", until somebody asks for a page"
        yield Finding(DOWN, "%s is %s%s" % (unit["name"], unit.get("active") or "not there", asleep), start)
    elif page["status"]:
        yield Finding(DOWN, "OMERO.web answers %d for its login page" % page["status"],
                      "%s logs has the reason; %s" % (found["name"], back))
    else:
        yield Finding(DOWN, "OMERO.web gives no answer (%s)" % page["reason"],
                      "%s logs has the reason; systemctl restart %s" % (found["name"], unit["name"]))


def of_nginx(found):
    if not found["nginx"]["is_wanted"]:
        return
    complaint, page = found["nginx"]["complaint"], layer(found, "nginx")
    state = found["units"].get(NGINX_SERVICE, "not there")
    mend = "mend it until nginx -t is content, then systemctl start nginx"
    if state != "active":
        why = ": its configuration is wrong (%s)" % complaint if complaint else ""
        yield Finding(DOWN, "nginx is %s%s" % (state, why), mend if complaint else "systemctl start nginx")
    elif complaint:
        yield Finding(ATTENTION, "nginx would not start again: %s" % complaint, "mend it until nginx -t is content")
    elif found["tls"].get("reason"):
        where = found["tls"]["where"]
        yield Finding(DOWN, "nginx does not speak TLS at %s (%s)" % (where, found["tls"]["reason"]),
                      "nginx -T shows its configuration; openssl s_client -connect %s tells more" % where)
    elif found["layers"] and page["status"] != 200 and layer(found, "OMERO.web")["status"] == 200:
        yield Finding(DOWN, "nginx answers %s, where OMERO.web answers 200" % (page["status"] or page["reason"]),
                      "%s logs has the reason; nginx -T shows its configuration" % found["name"])
    static = layer(found, "files")
    if page["status"] == 200 and "path" in static and static["status"] != 200:
        yield Finding(DOWN, "nginx answers %s for the static file %s" % (
            static["status"] or static["reason"], static["path"]), "run site.yml, or %s rollback" % found["name"])
    if found["maintenance"]:
        yield Finding(ATTENTION, "the site is closed for users since %s" % found["maintenance"].get("since"),
                      "%s maintenance off" % found["name"])


def of_servers(found):
    lost = [one for one in found["servers"] if one["reason"]]
    for one in lost:
        level = DOWN if len(lost) == len(found["servers"]) else ATTENTION
        where = "%s, port %d" % (one["server"], one["port"])
        if one["is_another"]:
            yield Finding(level, "what listens at %s, is no OMERO.server (%s): nobody can log in at %s" % (
                where, one["reason"], one["name"]), "name its port in omero_web_servers (4064 by TLS), run site.yml")
        else:
            yield Finding(level, "OMERO.server %s at %s, cannot be reached (%s): nobody can log in there" % (
                one["name"], where, one["reason"]), "start it, or open the way to it")


def of_store(found):
    store = found["store"]
    if store.get("reason"):
        is_own = store["where"].startswith("/run/%s-redis/" % found["name"])
        if is_own and found["unit"].get("active") not in ("active", "activating", "reloading"):
            return  # It runs for OMERO.web, and comes with it.
        yield Finding(DOWN, "the Redis of the sessions at %s cannot be used (%s): nobody stays logged in" % (
            store["where"], store["reason"]),
            "systemctl start %s-redis.service" % found["name"] if is_own else "start it, or open the way to it")


def of_clock(found):
    if found["is_clock_set"] is False:
        yield Finding(ATTENTION, "the clock is not synchronised: sessions and certificates end by the wrong time",
                      "timedatectl set-ntp true, which wants chrony or systemd-timesyncd")


def of_certificate(found):
    ends = found["certificate"].get("ends")
    if ends is None:
        return
    for name in found["certificate"]["not_for"]:
        path = found["certificate"]["path"]
        yield Finding(ATTENTION, "the certificate is not for %s: browsers refuse the site there" % name,
                      "get one for it; openssl x509 -noout -text -in %s shows what it is for" % path)
    days = (ends - found["time"]) / A_DAY
    mend = "renew %s, then systemctl reload nginx" % found["certificate"]["path"]
    if days < 0:
        yield Finding(DOWN, "the certificate ended %d days ago: browsers refuse the site" % -days, mend)
    elif days < CERTIFICATE_DAYS:
        yield Finding(ATTENTION, "the certificate ends in %d days" % days, mend)


def of_disks(found):
    told = set()
    for disk in found["disks"]:
        full = "%d MiB" % disk["free_mb"] if disk["free_mb"] < LEAST_FREE_MB else ""
        if not full and disk["free_inodes"] is not None and disk["free_inodes"] < LEAST_FREE_INODES:
            full = "%d inodes" % disk["free_inodes"]
        if full and full not in told:
            told.add(full)
            yield Finding(ATTENTION, "%s has only %s left" % (disk["path"], full), "free some space")
    if found["read_only"]:
        yield Finding(DOWN, "%s is on a file system that is read-only" % found["basedir"], "mount it read-write")


def of_files(found):
    for path, kind in sorted(found["misplaced"].items()):
        yield Finding(ATTENTION, "%s is %s" % (path, kind), "move it away; site.yml refuses the host until then")
    for path in found["astray"]:
        yield Finding(ATTENTION, "%s is not as generation %d has it" % (path, found["generation"]), "run site.yml")
    if found["generation"] and not found["is_enabled"]:
        yield Finding(ATTENTION, "the site does not start at boot", "systemctl enable %s.target" % found["name"])


def of_change(found):
    change = found["last_change"]
    # What failed longer ago may well be mended, by variables that want what is live.
    yesterday = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(found["time"] - A_DAY))
    if change.get("outcome") == CUT_OFF:
        yield Finding(ATTENTION, "the last change was cut off, or goes on", "run site.yml again")
    elif change.get("outcome") == "failed" and change["began"] > yesterday:
        reason = u" ".join(change.get("reason", u"").split())[:LONGEST_ERROR]
        yield Finding(ATTENTION, "the last change failed: %s" % reason, "mend that, and run site.yml again")


def of_errors(found):
    logs = "%s logs" % found["name"]
    if found["unit"].get("restarts") and found["unit"].get("active") == "active":
        yield Finding(ATTENTION, "systemd had to start OMERO.web again %d times" % found["unit"]["restarts"], logs)
    late = count_of(found, IS_TIMEOUT)
    if late:
        what = "requests took longer than a worker may (omero_web_timeout): %d in the last day" % late
        yield Finding(ATTENTION, what, logs)
    # A worker that is late is killed for that.
    killed = count_of(found, IS_KILLED) - late
    if killed > 0:
        what = "workers were killed, perhaps for want of memory: %d in the last day" % killed
        yield Finding(ATTENTION, what, "%s; give the host more memory, or fewer workers" % logs)


def count_of(found, pattern):
    return sum(one["count"] for one in found["errors"] if pattern.search(one["text"]))


RULES = (of_generation, of_unit, of_nginx, of_servers, of_store, of_certificate, of_clock, of_disks, of_files,
         of_change, of_errors)


# --- how people are told ----------------------------------------------------------------------------------------------


def exit_code_of(status):
    """Return 0, 1 or 2 for ok, attention and down, as monitoring has it."""
    return LEVELS.index(status["verdict"])


def answer_of(server):
    return server["reason"] or u"answers in %d ms" % server["milliseconds"]


def worded(moment):
    return moment.replace(u"T", u" ").replace(u"+00:00", u" UTC")


def lines_of(status):
    """Return what fits on a screen, the verdict first."""
    activated = status["activated"]
    since = worded(activated.get("activated", u"an unknown time"))
    by = u", by %s" % activated["by"] if activated.get("by") else u""
    lines = [u"%s on %s: %s" % (status["title"], status["host"], status["verdict"])]
    for finding in status["findings"]:
        lines += [u"  %-9s  %s" % (finding["level"], finding["what"]), u"             -> %s" % finding["remedy"]]
    if status["generation"]:
        lines.append(u"  runs       OMERO.web %s as generation %d since %s%s" % (
            status["release"] or u"?", status["generation"], since, by))
    if status["good"]:
        lines.append(u"  go back    to %s" % u", ".join(map(str, reversed(status["good"]))))
    if status["hold"]:
        lines.append(u"  on hold    %s" % status["hold"])
    for one in status["layers"]:
        what = one["status"] or one["reason"]
        way = u"%s%s" % (one["where"], u" by TLS" if one["tls"] else u"")
        lines.append(u"  %-9s  %s in %d ms, %s" % (one["layer"], what, one["milliseconds"], way))
    tls = status["tls"]
    if tls:
        lines.append(u"  TLS        %s in %d ms, %s" % (
            tls["version"] or tls["reason"], tls["milliseconds"], tls["where"]))
    lines += [u"  server     %s at %s, port %d, %s" % (
        one["name"], one["server"], one["port"], answer_of(one)) for one in status["servers"]]
    store = status["store"]
    if store:
        lines.append(u"  sessions   Redis at %s, %s" % (store["where"], store["reason"] or u"answers"))
    memory = status["workers"]
    lines.append(u"  memory     %d MiB in %d processes" % (memory["pss_mb"], memory["processes"]))
    lines += [u"  free       %d MiB in %s" % (disk["free_mb"], disk["path"]) for disk in status["disks"][:1]]
    lines += [u"  error      %d x %s: %s" % (one["count"], one["source"], one["text"]) for one in status["errors"]]
    return lines
