# -*- coding: utf-8 -*-
"""What it takes to go back to a generation, and what is refused: decided alike by a controller and by a host alone.

All of it is pure: plain data in, plain data out. `look` is what omero_web_info returns, or on a host
omero_web_look.look_at_generations; `wanted` is what omero_web_wanted.py makes of the role's variables.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re

SCHEMA = 2
# What a generation takes on disk, with room for its log and its sessions until somebody makes more.
GENERATION_MB = 16
NOBODY = {"number": 0, "release": "", "failed": False, "activated": False, "address": "", "files": [], "manifest": {}}


class Refusal(Exception):
    """Why a run cannot go on, in one sentence with the remedy. Nothing has changed by then."""


# --- which generation -------------------------------------------------------------------------------------------------


def generation(look, number):
    """Return what the look says of a generation, also of one whose manifest a power cut has emptied."""
    known = look["generations"] + look["unfinished"]["generations"]
    return dict(NOBODY, **next((one for one in known if one["number"] == number), {}))


def numbers(look):
    return [one["number"] for one in look["generations"] + look["unfinished"]["generations"]]


def unit_of(name, number):
    return "%s@%d.service" % (name, number)


def running(look, name):
    """Return the numbers of generations that run, start or stop."""
    pattern = re.compile(re.escape(name) + r"@(\d+)\.service\Z")
    units = ((pattern.match(unit), state["active"]) for unit, state in look["units"].items())
    return set(int(found.group(1)) for found, active in units if found and active not in ("inactive", "failed"))


def finishes_requests(look, name, number):
    """Tell whether a generation is about to end, which may take as long as a download; it cannot start before."""
    return look["units"].get(unit_of(name, number), {}).get("active") == "deactivating"


def target_of(number, wanted):
    """Return how the generation that is made next is run."""
    units = {"omero-web.service": unit_of(wanted["name"], number), "omero-web.socket": wanted["target"]["socket"]}
    installed = dict((file, "/etc/systemd/system/" + unit) for file, unit in units.items())
    return dict(wanted["target"], number=number, installed=dict(installed, **wanted["nginx_files"]))


def target_of_manifest(look, number, wanted):
    """Return how a generation that exists is run: as its manifest says, whatever the variables say by now."""
    found = generation(look, number)
    manifest = found["manifest"]
    if manifest.get("schema") == SCHEMA:
        known = dict((key, manifest[key]) for key in wanted["target"])
        return dict(known, number=number, installed=manifest["installed"])
    # The first manifests did not say where a generation is installed; the very first ones not even where it answers.
    prefix = manifest.get("prefix", "")
    files = dict((file, path) for file, path in wanted["nginx_files"].items() if file in found["files"])
    told = {
        "prefix": prefix,
        "url": manifest.get("url", wanted["base_url"] + prefix),
        "address": found["address"],
        "socket": wanted["name"] + ".socket",
    }
    return target_of(number, dict(wanted, target=dict(wanted["target"], **told), nginx_files=files))


def twin_of(look, target, manifest, name):
    """Return how a generation is run that is made like one that is there, and what it is made of."""
    number = max(numbers(look)) + 1
    service = "/etc/systemd/system/" + unit_of(name, number)
    target = dict(target, number=number, installed=dict(target["installed"], **{"omero-web.service": service}))
    known = dict((key, value) for key, value in manifest.items() if key not in ("made", "made_by", "failed"))
    of_its_own = {"generation": number, "previous": look["current"], "installed": target["installed"]}
    return target, {"copy_of": manifest["generation"], "manifest": dict(known, **of_its_own)}


# --- the way back -----------------------------------------------------------------------------------------------------


def plan_rollback(look, wanted):
    """Return what a rollback does to a host, in the form of a plan."""
    refuse_the_unexpected(look, wanted)
    live = generation(look, look["current"])
    number = wanted["generation"] or live["manifest"].get("previous", 0)
    if wanted["to_former"] or look["former"] and live["number"] and not number:
        return plan_way_to_former(look, wanted, live)
    found = generation(look, number)
    check_rollback(look, wanted, live, found)
    target, make = target_of_manifest(look, number, wanted), None
    anew = ""
    if finishes_requests(look, wanted["name"], number) and found["manifest"].get("schema") == SCHEMA:
        target, make = twin_of(look, target, found["manifest"], wanted["name"])
        anew = ", made anew as generation %d while that finishes requests" % target["number"]
    steps = ["change"]
    check_disk(look, wanted, steps, is_new=make is not None)
    nothing = {"generations": [], "releases": [], "sessions": [], "wheels": [], "units": []}
    others = sorted(running(look, wanted["name"]) - set([live["number"], number]))
    answered = look["answer"]["generation"]
    others = ["%d, which answers now," % one if one == answered else str(one) for one in others]
    already = ", which answers already" if answered == number else ""
    beside = " (generation %s runs, too, and ends)" % ", ".join(others) if others else ""
    back = "go back from generation %d to generation %d" % (live["number"], number)
    return {
        "steps": steps,
        "says": says_of_user(wanted, target["number"]) + [back + anew + already + beside],
        "generation": target["number"],
        "live": live["number"],
        "host": {},
        "change": change(look, wanted, found["release"], target, make, True, nothing),
        "problem": "",
    }


def plan_way_to_former(look, wanted, live):
    """Return how a host goes back to the OMERO.web that it had before the role's."""
    former = look["former"]
    if not former or not live["number"]:
        raise Refusal("%s has no OMERO.web from before the role's to go back to. Nothing has changed." % wanted["host"])
    target = target_of_manifest(look, live["number"], wanted)
    nothing = {"generations": [], "releases": [], "sessions": [], "wheels": [], "units": []}
    known = dict((key, value) for key, value in former.items() if key not in ("link", "mode"))
    return {
        "steps": ["change"],
        "says": ["go back from generation %d to %s" % (live["number"], name_of_former(former))],
        "generation": 0,
        "live": live["number"],
        "host": {},
        "change": dict(
            change(look, wanted, live["release"], target, None, True, nothing), former=known, to_former=True),
        "problem": "",
    }


def name_of_former(former):
    """Return in words what OMERO.web was there before the role's."""
    return former["unit"] or "the OMERO.web at %s" % former["address"]


def check_rollback(look, wanted, live, found):
    """Refuse a generation that is not there, is live already, failed, or has lost its release."""
    good = [one["number"] for one in look["generations"] if not one["failed"] and one["number"] != live["number"]]
    problem = ""
    if not found["manifest"] or found["number"] == live["number"]:
        problem = ""
    elif found["failed"] and not wanted["to_failed"]:
        problem = ", which failed (omero_web_rollback_to_failed would try it again)"
    elif found["release"] not in look["releases"]:
        problem = ", whose release %s is gone" % found["release"]
    else:
        return
    number = found["number"] or wanted["generation"]
    aim = "generation %d" % number if number else "one before it"
    choices = " or ".join(map(str, good)) or "nothing, for there is no other good generation"
    raise Refusal(
        "%s runs generation %d and cannot go back to %s%s; what it can go back to: %s." % (
            wanted["host"], live["number"], aim, problem, choices)
    )


def says_of_user(wanted, number):
    is_tried = wanted["tried_as"] and wanted["start"]
    return ["try generation %d as %s" % (number, wanted["tried_as"])] if is_tried else []


# --- the change -------------------------------------------------------------------------------------------------------


def change(look, wanted, release, target, make, hands_over, remove):
    """Return what omero_web_change does as a whole, but for the contents of files, and secrets."""
    live, number = look["current"], target["number"]
    # Where somebody removed the link, users go back to what runs.
    serving = live or max(running(look, wanted["name"]) - set([number]) or [0])
    fallback = target_of_manifest(look, serving, wanted)
    manifest = make["manifest"] if make else generation(look, number)["manifest"]
    return {
        "release": release,
        "seen": {"current": live, "generations": [one["number"] for one in look["generations"]]},
        "target": target,
        "fallback": dict((key, fallback[key]) for key in ("number", "installed", "url")) if serving else {"number": 0},
        "make": make,
        # Those of its own apps. Generations of older versions of the role have none but what every site has.
        "pages": manifest.get("pages", {}),
        "trial": wanted["start"] and (make is not None or number != live),
        "hand_over": hands_over,
        "former": None,
        "to_former": False,
        "remove": remove,
    }


# --- what is refused --------------------------------------------------------------------------------------------------


def refuse_the_unexpected(look, wanted):
    """Refuse a host with another OMERO.web of the role, and one where root could be led to something else.

    What the service can write, or could where an older version of the role left it, may be a link to anywhere.
    """
    refuse_what_is_anothers(look, wanted)
    host = wanted["host"]
    for key, value in wanted["service"].items() if look["service"] else ():
        if look["service"].get(key) != value:
            name, other = wanted["name"], look["service"].get(key, "another")
            var = wanted["basedir"] + "/var"
            # A service cannot go on with a log and with sessions that are another user's.
            move = "; mv {0} {0}.{1}".format(var, other) if key == "user" else ""
            raise Refusal(
                "omero_web_{key} is {value}, and {host} has an OMERO.web with {other}, which the new one would take "
                "down; set that, or another omero_web_instance, to run beside it, or first take away what is there "
                "(systemctl disable --now {name}.target; rm /etc/systemd/system/{name}@*.service; systemctl "
                "daemon-reload{move}). Nothing has changed.".format(
                    key=key, value=value, host=host, other=other, name=name, move=move)
            )
    for path, kind in sorted(look["misplaced"].items()):
        ours = "a file" if path.endswith("/django_secret_key") else "a directory"
        raise Refusal(
            "%s on %s is %s, where the role has %s and follows no link; move it away, and where it leads to another "
            "disk, mount that there instead (mount --bind). Nothing has changed." % (path, host, kind, ours)
        )


def refuse_what_is_anothers(look, wanted):
    """Refuse a directory, a user or a group that another instance on the host has: either could change the other."""
    for one in look["neighbours"]:
        service = wanted["service"]
        same = [key for key in ("user", "group") if one[key] == service[key]]
        if is_within(one["basedir"], service["basedir"]) or is_within(service["basedir"], one["basedir"]):
            same.insert(0, "basedir")
        if same:
            taken = ", ".join("omero_web_%s is %s" % (key, service[key]) for key in same)
            raise Refusal(
                "%s, and %s on %s has %s; set others for %s. Nothing has changed." % (
                    taken, instance(one["name"]), wanted["host"], ", ".join(one[key] for key in same),
                    instance(wanted["name"]))
            )


def instance(name):
    """Return how people know an instance by the name that its units begin with."""
    word = name.partition("omero-web-")[2]
    return "the instance " + word if word else "the unnamed instance"


def is_within(path, directory):
    return (path + "/").startswith(directory + "/")


def check_disk(look, wanted, steps, is_new):
    """Refuse what the disk cannot take. A run with nothing to do needs no space."""
    where, free = "%s on %s" % (wanted["basedir"], wanted["host"]), look["free_bytes"] // 1048576
    if steps and look["read_only"]:
        raise Refusal("%s is on a file system that is read-only; mount it read-write. Nothing has changed." % where)
    if "build" in steps and free < wanted["minimum_free_mb"]:
        raise Refusal(
            "%s has %d MiB free, and a release needs %d (omero_web_minimum_free_mb); free some space or lower "
            "omero_web_keep_generations. Nothing has changed." % (where, free, wanted["minimum_free_mb"])
        )
    if is_new and free < GENERATION_MB:
        raise Refusal(
            "%s has %d MiB free, and a generation needs %d; free some space. Nothing has changed." % (
                where, free, GENERATION_MB)
        )
