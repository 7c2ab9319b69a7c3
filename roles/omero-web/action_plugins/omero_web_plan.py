"""Action: decide what a run does to a host.

Everything down to `class ActionModule` is pure: plain data in, plain data out, without I/O, Ansible or Jinja. `look` is
what omero_web_info returns; `order` and `wanted` are what omero_web_wanted.py makes of the role's variables. What is
due, what is kept and what is removed is decided here and nowhere else, so `--check`, the run itself and a rollback
cannot disagree.
"""

import hashlib
import json
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

from ansible.module_utils.parsing.convert_bool import boolean

site_wants = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))
wheels = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wheels.py"))))
version_key = site_wants.version_key

# Before Ansible forks a process for each host.
for template in site_wants.TEMPLATES.list_templates():
    site_wants.TEMPLATES.get_template(template)
# What a host alone decides as well.
back = site_wants.shared_code("omero_web_rollback")

DEFAULT_ADDRESS = "127.0.0.1:4080"
# What is done with modules that ansible-core alone does not have.
FOREIGN = {
    "firewalld": ("ansible.posix.firewalld",),
    "ufw": ("community.general.ufw",),
    "SELinux": ("ansible.posix.seboolean", "community.general.sefcontext", "community.general.seport"),
}


# --- which release ----------------------------------------------------------------------------------------------------


def is_exact(release):
    """Tell whether a release is named in full, so that nothing has to be asked for its version."""
    return re.match(r"\d+\.\d+\.", release) is not None


def method_of(order):
    """Return how a release is shipped. One without a number is shipped as the Python that is to run it wants."""
    if order["method"] != "auto":
        return order["method"]
    if re.match(r"\d+\.", order["release"]):
        since = (row for row in order["releases"] if version_key(row["since"]) <= version_key(order["release"]))
        return next(since, {"method": "archive"})["method"]
    return "archive" if "python2" in order["python"] else "pypi"


def runs(python, row):
    return version_key(row["python_from"]) <= version_key(python) <= version_key(row["python_to"])


def choose_release(look, order):
    """Return the release that is wanted: how it is shipped, its version, and the Python that runs it."""
    method = method_of(order)
    interpreter = order["python"] or order["os_python"][method]
    found = look["pythons"].get(interpreter, {"version": "", "tag": ""})
    # A Python that the host lacks yet is as old as its package says.
    python = found["version"] or order["os_pythons"].get(interpreter, {}).get("version", "0")
    python = ".".join(python.split(".")[:2])
    rows = [row for row in order["releases"] if row["method"] == method]
    newest = next((row["newest"] for row in rows if runs(python, row)), "0")
    version = order["archive_version"] or (order["release"] if is_exact(order["release"]) else newest)
    release = {
        "method": method,
        "interpreter": interpreter,
        "python": python,
        "python_in_full": found["version"] or python,
        "tag": found["tag"],
        "version": version,
        "newest": newest,
        "series": next((row for row in rows if version_key(row["since"]) <= version_key(version)), None),
        "since": rows[-1]["since"],
    }
    return {**release, "problem": problem_of_release(release, order)}


def problem_of_release(release, order):
    """Return why a release cannot be built, in one sentence, empty if it can; one that is built already runs."""
    asked, host = order["release"], order["host"]
    if not (is_exact(asked) or asked in ("", "latest") or release["method"] == "archive"):
        return (
            f"omero_web_release is {asked}; releases from the package index are named in full, such as "
            f"{release['newest']}."
        )
    if release["python"] == "0" and release["interpreter"]:
        return (
            f"omero_web_python is {release['interpreter']}, which does not run on {host}; install it or name another "
            f"interpreter."
        )
    if release["python"] == "0":
        return (
            f"omero_web_release is {asked or 'empty'}, which needs Python 2.7, and {order['system']} on {host} has "
            f"none; install one and name it in omero_web_python, or set omero_web_release to 5.6.1 or newer."
        )
    if not release["series"]:
        return (
            f"omero_web_release is {asked or 'empty'}; by the method {release['method']} the role installs releases "
            f"from {release['since']} on, and {release['interpreter']} on {host} is Python {release['python']}."
        )
    if "instead" in release["series"]:
        instead = release["series"]["instead"]
        return f"omero_web_release is {asked}, whose login page fails with every Python; set it to {instead}."
    if not runs(release["python"], release["series"]):
        pythons = dict.fromkeys((release["series"]["python_from"], release["series"]["python_to"]))
        newest = f", or omero_web_release to {release['newest']}" if release["newest"] != "0" else ""
        return (
            f"omero_web_release is {release['version']}, which needs Python {' to '.join(pythons)}; "
            f"{release['interpreter']} on {host} is Python {release['python_in_full']}. Set omero_web_python to such a "
            f"Python{newest}."
        )
    return ""


def named_release(look, release, definition, order):
    """Give a release the name that follows from all that defines it: another definition is another release."""
    digest = hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()
    name = f"{release['version']}-{digest[:8]}"
    is_built = name in look["releases"]
    return {
        **release,
        "name": name,
        "directory": f"{order['basedir']}/releases/{name}",
        "definition": definition,
        "is_built": is_built,
        # One that is not named in full has its version from its archive.
        "needs_archive": release["method"] == "archive"
        and not order["archive_version"]
        and not (is_built and is_exact(order["release"])),
        "django": look["releases"].get(name, {}).get("django", ""),
    }


# --- which generation -------------------------------------------------------------------------------------------------


def socket_of(name, look, address):
    """Return the name of the socket unit for an address.

    One that listens there already is used again. A changed address is another unit, which listens beside the old one
    until nobody needs that any more.
    """
    live = back.generation(look, look["current"])
    if live["address"] == address:
        return live["manifest"].get("socket", f"{name}.socket")
    sockets = (unit for unit in look["units"] if is_own_socket(name, unit))
    open_ones = (one for one in sorted(sockets) if look["units"][one]["active"] == "active")
    ending = "" if address == DEFAULT_ADDRESS else f"-{re.sub(r'[^0-9A-Za-z.:]', '', address)}"
    default = f"{name}{ending}.socket"
    return next((one for one in open_ones if look["units"][one]["listen"] == address), default)


def is_own_socket(name, unit):
    """Tell whether a unit is a socket of this instance: that of an address has a colon, which no instance has."""
    return re.fullmatch(rf"{re.escape(name)}(-[0-9A-Za-z.]*:[0-9A-Za-z.:]+)?\.socket", unit) is not None


def trials(look, name):
    """Return the trials that interrupted runs left: at the time of a look, no other is there."""
    left = (unit for unit, state in look["units"].items() if state["active"] != "inactive")
    return sorted(unit for unit in left if unit.startswith(f"{name}-probe@"))


def building(look, name):
    """Return the names of releases that are being built, whichever run wanted them."""
    pattern = re.compile(rf"{re.escape(name)}-build-(.+)\.service")
    units = ((pattern.fullmatch(unit), state["active"]) for unit, state in look["units"].items())
    return {found[1] for found, active in units if found and active not in ("inactive", "failed")}


# --- what of the host is not as it should be --------------------------------------------------------------------------


def is_as_wanted(look, kind, wanted, contents):
    """Tell whether a path is what it should be; a link is never taken for what it points to.

    One without a mode is shared with others, and has only to be there.
    """
    if "mode" not in wanted:
        return look["paths"].get(wanted["path"], {}).get("kind") == kind
    attributes = {name: wanted.get(name, "root") for name in ("owner", "group")}
    if wanted["path"] in contents:
        attributes["sha256"] = hashlib.sha256(contents[wanted["path"]]).hexdigest()
    expected = {"kind": kind, "mode": wanted["mode"], **attributes}
    found = look["paths"].get(wanted["path"], {})
    return {name: found.get(name) for name in expected} == expected


def host_work(look, wanted):
    """Return what the host lacks or what has strayed, by kind."""
    kinds = {"directories": "directory", "files": "file", "logs": "file", "secret_keys": "file", "certificates": "file"}
    strayed = {
        key: [one["path"] for one in wanted[key] if not is_as_wanted(look, kind, one, wanted["contents"])]
        for key, kind in kinds.items()
    }
    return {
        "packages": [package for package in wanted["packages"] if package not in look["packages"]],
        "repositories": [path for path in wanted["gone_repositories"] if path in look["matched"]],
        **strayed,
    }


def refuse_others(look, wanted):
    """Refuse a host with an OMERO.web that was installed in another way: its service would have the port at a boot.

    A site of nginx has the name of the role's own with some; before a host's first generation it is not the role's.
    """
    own = [path for path in wanted["nginx_files"].values() if path in look["matched"] and not back.numbers(look)]
    former = wanted["former"]
    known = (f"/etc/systemd/system/{former['unit']}", former["site"]) if former else ()
    found = [path for path in wanted["of_others"] if path in look["paths"]] + own
    found = [path for path in found if path not in known]
    if found:
        raise back.Refusal(
            f"{wanted['host']} has an OMERO.web that was installed in another way ({', '.join(found)}); let "
            "playbooks/adopt.yml write the variables by which the role takes over from it, as docs/adoption.md tells. "
            "Nothing has changed."
        )


def takes_over(look, wanted):
    """Tell whether the OMERO.web that the host had before still serves, or would with the next boot."""
    former = wanted["former"]
    if not former:
        return False
    own = set(wanted["nginx_files"].values())
    # It may have the name of the role's, or has it while it is replaced. A template of the site's own may look like it.
    replaced = own & set(look["matched"]) & (set(look["astray"]) if look["current"] else own)
    is_enabled = look["units"].get(former["unit"], {}).get("enabled") == "enabled"
    return former["site"] in set(look["paths"]) - own or bool(replaced) or is_enabled


def refuse_the_port_of_the_former(look, wanted):
    """Refuse the port at which the OMERO.web listens that is to be taken over from: both serve for a moment."""
    former = wanted["former"]
    ports = {one["address"].rpartition(":")[2] for one in (former, wanted["target"]) if one}
    if takes_over(look, wanted) and len(ports) == 1:
        raise back.Refusal(
            f"omero_web_former has the address {former['address']}, at whose port the role's OMERO.web is to listen as "
            "well; set another omero.web.application_server.port in omero_web_config. Nothing has changed."
        )


def refuse_where_another_answers(look, wanted):
    """Refuse the port of another instance, and, where nginx shares its ports among names, one of its names."""
    port = wanted["target"]["address"].rpartition(":")[2]
    names = {in_full(look, name) for name in wanted["server_names"]}
    for one in look["neighbours"]:
        who, whose = f"{back.instance(one['name'])} on {wanted['host']}", back.instance(wanted["name"])
        if one["address"].rpartition(":")[2] == port:
            raise back.Refusal(
                f"omero.web.application_server.port is {port}, where {who} listens; set another in omero_web_config "
                f"for {whose}. Nothing has changed."
            )
        for site in one["sites"]:
            ports = sorted(set(site["ports"]) & set(wanted["ports"]))
            same = sorted(names & {in_full(look, name) for name in site["server_names"]})
            if ports and same:
                raise back.Refusal(
                    f"omero_web_server_names has {', '.join(same)}, under which nginx has {who} at port {ports[0]}; "
                    f"give {whose} names of its own, or another port. Nothing has changed."
                )


def in_full(look, name):
    """Return a server's name as nginx takes it, which has a variable for the name of the host."""
    return look["ansible_facts"]["nodename"].lower() if name == "$hostname" else name.lower()


def has_default_site(look, wanted):
    """Tell whether nginx has a site that would answer in place of OMERO.web."""
    site = wanted["default_site"]
    return bool(site) and site["path"] in (look["matched"] if "part" in site else look["paths"])


def unsettled_units(look, wanted, target):
    """Return the units that are not so that the wanted generation runs, alone, and will after a boot."""
    name, units = wanted["name"], look["units"]
    nginx = ["nginx.service"] if wanted["has_nginx"] else []
    at_boot = [f"{name}.target", f"{name}-boot.service", *nginx]
    up = [f"{name}.target", target["socket"], back.unit_of(name, target["number"]), *target["units"], *nginx]
    services = [unit for unit in units if re.fullmatch(rf"{re.escape(name)}@\d+\.service", unit)]
    own = [*services, *(unit for unit in units if is_own_socket(name, unit))]
    unsettled = [unit for unit in at_boot if units.get(unit, {}).get("enabled") != "enabled"]
    # The first generations were enabled one by one, so that two of them could start.
    unsettled += [unit for unit in own if units[unit]["enabled"] == "enabled"]
    if wanted["start"]:
        unsettled += [unit for unit in up if units.get(unit, {}).get("active") not in ("active", "reloading")]
        # One that is stopping finishes its requests.
        idle = ("inactive", "deactivating", "failed")
        unsettled += [unit for unit in own if unit not in up and units[unit]["active"] not in idle]
    return sorted(set(unsettled))


# --- what is kept and what is removed ---------------------------------------------------------------------------------


def kept_generations(look, name, target, keep):
    """Return why each generation that is kept is kept, by its number.

    Kept are the wanted generation, the one before it and the newest of the others up to `keep`, as many failed ones,
    and, whatever became of its manifest, all that is live, leads to static files or runs.
    """
    good = sorted((one["number"] for one in look["generations"] if not one["failed"]), reverse=True)
    failed = sorted((one["number"] for one in look["generations"] if one["failed"]), reverse=True)
    live = look["current"]
    previous = live if target != live else back.generation(look, live)["manifest"].get("previous", 0)
    indispensable = [number for number in (target, previous) if number]
    others = [number for number in good if number not in indispensable]
    return {
        **dict.fromkeys(failed[:keep], "failed lately"),
        **dict.fromkeys(others[: max(0, keep - 2)], "one to go back to"),
        **dict.fromkeys(back.running(look, name), "runs"),
        # The link moves on where another generation takes over.
        **({look["previous"]: "has static files of pages that are loaded"} if target == live else {}),
        previous: "the one before",
        live: "live",
        target: "wanted",
    }


def removals(look, wanted, target, release):
    """Return what is kept no longer, exactly, by kind."""
    kept = kept_generations(look, wanted["name"], target, wanted["keep"])
    pruned = [number for number in back.numbers(look) if number not in kept]
    releases = {back.generation(look, number)["release"] for number in kept} | {release}
    djangos = {look["releases"].get(one, {}).get("django") for one in releases}
    # A release without a manifest that nobody uses is what a broken-off build left; its next build removes it first.
    complete = [one for one in look["releases"] if one not in releases]
    broken_off = [one for one in look["unfinished"]["releases"] if one not in releases | building(look, wanted["name"])]
    return {
        "generations": sorted(pruned),
        "releases": sorted(complete + broken_off),
        "sessions": [one for one in look["sessions"] if one.replace("django-", "", 1) not in djangos],
        "wheels": look["wheels"][wanted["keep"] :],
        "units": [f"/etc/systemd/system/{back.unit_of(wanted['name'], number)}" for number in sorted(pruned)],
    }


# --- the firewall -----------------------------------------------------------------------------------------------------


def firewall_work(look, wanted, gone):
    """Return what is closed for users, what the role opened and nobody needs any more, and what it will have opened.

    A generation to go back to finds its ports open. `gone` are the numbers of those that are removed.
    """
    firewall, opened = look["firewall"], look["opened"]
    if not firewall:
        return {"name": "", "open": [], "close": [], "opened": opened, "left": opened}
    zones, there = zones_of_users(look, wanted), firewall["zones"]
    needed = [{"zone": zone, "port": port} for zone in zones for port in wanted["ports"]]
    closed = [one for one in needed if not is_open(there[one["zone"]], one["port"])]
    # What somebody else has opened for good, and is not open yet, stays theirs.
    theirs = [one for one in closed if lets_in(there[one["zone"]]["later"], one["port"])]
    kept = {port for number, ports in look["generation_ports"].items() if int(number) not in gone for port in ports}
    kept.update(wanted["ports"], *(one["ports"] for one in look["neighbours"]))
    unused = [one for one in opened if one["zone"] not in zones or one["port"] not in kept]
    close = [one for one in unused if one["zone"] in there]
    opened = [*opened, *(one for one in closed if one not in opened + theirs)]
    left = [one for one in opened if one not in close]
    return {"name": firewall["name"], "open": closed, "close": close, "opened": opened, "left": left}


def zones_of_users(look, wanted):
    """Return the zones that users come through: those of the site's choice, or of the interfaces that lead outside."""
    firewall, named = look["firewall"], wanted["firewall_zones"]
    if firewall["name"] == "ufw":
        return [firewall["default"]]
    missing = [zone for zone in named if zone not in firewall["zones"]]
    if missing:
        raise back.Refusal(
            f"omero_web_firewall_zones has {', '.join(missing)}, and firewalld on {wanted['host']} has only "
            f"{', '.join(sorted(firewall['zones']))}; name those that users come through. Nothing has changed."
        )
    bound = {interface: name for name, zone in firewall["zones"].items() for interface in zone["interfaces"]}
    of_interfaces = [bound.get(interface, firewall["default"]) for interface in look["interfaces_to_outside"]]
    return list(dict.fromkeys(named or of_interfaces or [firewall["default"]]))


def is_open(zone, port):
    return zone["accepts"] or (lets_in(zone["now"], port) and lets_in(zone["later"], port))


def lets_in(ports, port):
    """Tell whether a port is among ports and ranges of ports."""
    ranges = (text.split("-") for text in ports)
    return any(int(first) <= port <= int((last or [first])[0]) for first, *last in ranges)


# --- the plan ---------------------------------------------------------------------------------------------------------


def plan(look, wanted, release):
    """Return what site.yml does to a host, as plain data.

    steps       those that are due of host, selinux, firewall, build, change and close, in this order
    says        a sentence for each thing that is done
    generation  number of the one that is to be live
    live        number of the one that is live, 0 if there is none
    host        what the step of that name mends: packages, repositories, directories, files
    firewall    what is opened and closed in it, and what the role has opened after either
    change      what omero_web_change is told; empty as long as the release is not built
    problem     why the site does not answer although nothing is due; empty if it does
    """
    back.refuse_the_unexpected(look, wanted)
    refuse_others(look, wanted)
    refuse_the_port_of_the_former(look, wanted)
    refuse_where_another_answers(look, wanted)
    refuse_missing_files(look, wanted)
    refuse_other_ids(look, wanted)
    live = back.generation(look, look["current"])
    is_built = release["is_built"]
    is_new = runs_deleted_files(look, wanted) or not (
        is_built
        and live["number"]
        and not live["failed"]
        and live["manifest"].get("parts") == wanted["parts"]
        and look["configuration_is_wanted"]
    )
    number = max(back.numbers(look), default=0) + 1 if is_new else live["number"]
    target = back.target_of(number, wanted)
    is_taken_over = takes_over(look, wanted)
    hands_over = is_new or has_strayed(look, wanted, target) or is_taken_over
    host = host_work(look, wanted)
    remove = removals(look, wanted, number, release["name"])
    firewall = firewall_work(look, wanted, remove["generations"])
    says = {
        "host": says_of_host(host, live["number"]),
        "selinux": says_of_selinux(look, wanted, is_new),
        "firewall": says_of_firewall(look, "open", firewall["open"]),
        "build": [] if is_built else [f"build release {release['name']}", *wanted["writes"]],
        "change": [
            *says_of_change(look, wanted, number, is_new, hands_over),
            *([f"take over from {back.name_of_former(wanted['former'])}"] if is_taken_over else []),
            *says_of_removals(remove),
        ],
        "close": says_of_firewall(look, "close", firewall["close"]),
    }
    steps = [step for step, sentences in says.items() if sentences]
    refuse_what_is_on_hold(look, wanted, steps)
    back.check_disk(look, wanted, steps, is_new)
    make = made_of(target, live["number"], wanted) if is_new else None
    change = back.change(look, wanted, release["name"], target, make, hands_over, remove)
    former = wanted["former"] if is_taken_over else None
    return {
        "steps": steps,
        "says": [sentence for step in steps for sentence in says[step]],
        "generation": number,
        "live": live["number"],
        "host": host,
        "firewall": firewall,
        "change": {**change, "former": former} if is_built else {},
        "problem": "" if steps else problem_of_answer(look, wanted),
    }


def runs_deleted_files(look, wanted):
    """Tell whether another generation is to take over because the live one runs what was deleted.

    Only new processes can load it all. Where none is to be started, a new generation would not help.
    """
    return wanted["start"] and look["runs_deleted_files"]


def has_strayed(look, wanted, target):
    """Tell whether the host differs from what its live generation wants."""
    is_complete = back.generation(look, target["number"])["activated"] and not look["astray"]
    return not is_complete or has_default_site(look, wanted) or bool(unsettled_units(look, wanted, target))


def refuse_what_is_on_hold(look, wanted, steps):
    """Refuse to change a site that somebody wants to stay as it is. A run with nothing to do does not mind."""
    why = wanted["hold"] or look["hold"]
    if steps and why and not wanted["despite_hold"]:
        where = "omero_web_hold" if wanted["hold"] else f"{wanted['basedir']}/hold there"
        raise back.Refusal(
            f"{wanted['host']} is on hold: {why} ({where}); --check shows what is due, and "
            "-e omero_web_despite_hold=true does it all the same. Nothing has changed."
        )


def warnings(look, host, name):
    """Return what whoever runs a playbook should know of a host, whatever there is to do."""
    closed = look["maintenance"]
    until = f" until {closed['until']}" if closed.get("until") else ""
    words = f"{host} is closed for users{until}, since {closed.get('since')} ({name} maintenance off opens it)."
    return [words] if closed else []


def problem_of_answer(look, wanted):
    """Return what is wrong with a site that has nothing due and does not answer."""
    answer = look["answer"]
    if not wanted["start"] or answer["status"] == 200:
        return ""
    says = f"{answer['status'] or 'nothing'} for {wanted['target']['url']} ({answer['message']})"
    logs = f"`journalctl -u '{wanted['name']}@*'` and {wanted['basedir']}/var/log there"
    return f"{wanted['host']} answers {says}; see {logs}."


def turn_of(look, is_balanced, planned):
    """Return when a host changes that users reach through a balancer, beside the other hosts; empty if at once.

    rolling     when it is its turn, while others have its users
    together    with all the others: the hosts of two releases would not know each other's sessions
    """
    release = planned["change"].get("release")
    if not (is_balanced and planned["live"] and release and planned["change"]["hand_over"]):
        return ""
    live = back.generation(look, planned["live"])["release"]
    djangos = {look["releases"].get(name, {}).get("django") for name in (live, release)}
    return "together" if len(djangos) > 1 else "rolling"


def refuse_missing_files(look, wanted):
    for name, path in wanted["tls_files"].items():
        if path in look["missing_files"]:
            where = f"which is not on {wanted['host']}; put it there or name another file"
            raise back.Refusal(f"{name} is {path}, {where}. Nothing has changed.")
    for path in wanted["writable_paths"]:
        if path in look["missing_directories"]:
            raise back.Refusal(
                f"omero_web_writable_paths has {path}, which is no directory on {wanted['host']}; make it first, for "
                f"{wanted['service']['user']}. Nothing has changed."
            )


def refuse_other_ids(look, wanted):
    """Refuse a number that somebody else has, and another one than the user or the group has: its files are there."""
    for name, whose in (("uid", "user"), ("gid", "group")):
        number, service = wanted["ids"][name], wanted["service"][whose]
        has, holder = look["ids"][name], look["ids"][whose]
        what = f"omero_web_{name} is {number}, and on {wanted['host']}"
        if number and has not in (None, number):
            raise back.Refusal(
                f"{what} the {whose} {service} has {has}, and files by it; set that, or leave out omero_web_{name}. "
                "Nothing has changed."
            )
        if number and holder not in (None, service):
            raise back.Refusal(f"{what} that is the {whose} {holder}; set another one. Nothing has changed.")


def says_of_host(host, live):
    strayed = [path for kind, paths in host.items() if kind != "packages" for path in paths]
    says = [f"install {', '.join(host['packages'])}"] if host["packages"] else []
    if strayed:
        says += [f"put right {', '.join(strayed)}" if live else "create the service user, directories and commands"]
    return says


def says_of_selinux(look, wanted, is_new):
    """A new generation may have a new port, which needs a rule whatever the booleans say.

    The booleans are set last, so where they are on, an earlier run has set all rules for the generation of that time.
    """
    is_due = look["selinux"] != "disabled" and (is_new or set(wanted["booleans"]) & set(look["booleans_off"]))
    return ["let nginx reach OMERO.web under SELinux"] if is_due else []


def says_of_firewall(look, verb, work):
    """Say what is opened or closed, zone by zone; ufw has none."""
    zones = dict.fromkeys(one["zone"] for one in work)
    ports = {zone: ", ".join(str(one["port"]) for one in work if one["zone"] == zone) for zone in zones}
    name = look["firewall"].get("name")
    return [f"{verb} port {ports[zone]} in {name}{f', zone {zone}' if zone else ''}" for zone in zones]


def says_of_change(look, wanted, number, is_new, hands_over):
    live = look["current"]
    once_live = [one["number"] for one in look["generations"] if one["activated"] and not one["failed"]]
    says = ["end the trial that an interrupted run left"] if trials(look, wanted["name"]) else []
    if is_new and 0 < live < max(once_live, default=0):
        says += [f"roll forward again from generation {live}, to which this host went back"]
    if runs_deleted_files(look, wanted):
        says += [f"replace generation {live}, whose release was deleted while it runs"]
    if is_new:
        says += [f"make generation {number}"]
    if is_new:
        says += back.says_of_user(wanted, number)
    if hands_over:
        says += [f"put generation {number} live{'' if wanted['start'] else ' at the next boot'}"]
    return says


def says_of_removals(remove):
    """Say what is removed; that the unit of a generation goes with it is understood."""
    kinds = ("generations", "releases", "sessions", "wheels")
    return [f"remove {kind} {', '.join(map(str, remove[kind]))}" for kind in kinds if remove[kind]]


def manifest_of(target, previous, wanted):
    """Return what a generation says of itself: all that is needed to run it again, whatever the variables say then."""
    return {
        "schema": back.SCHEMA,
        "generation": target["number"],
        "previous": previous,
        "parts": wanted["parts"],
        "omero_web": wanted["version"],
        "former_prefixes": wanted["former_prefixes"],
        "pages": wanted["pages"],
        **{key: value for key, value in target.items() if key != "number"},
    }


def made_of(target, live, wanted):
    """Return what a new generation is made of, but for the contents of files, and secrets."""
    return {
        "links": wanted["links"],
        "sessions": wanted["sessions"],
        "from": 0 if wanted["purge"] else live,
        "manifest": manifest_of(target, live, wanted),
    }


def neighbour_of(variables):
    """Return what a look would say of another instance, by the variables that it is to be made of."""
    name, config = variables["omero_web_instance"], variables["omero_web_config"]
    schemes = ("http", "https") if variables["omero_web_tls_certificate"] else ("http",)
    ports = [int(variables[f"omero_web_{scheme}_port"]) for scheme in schemes]
    site = {"ports": ports, "server_names": variables["omero_web_server_names"]}
    return {
        "name": f"omero-web-{name}" if name else "omero-web",
        **{key: variables[f"omero_web_{key}"] for key in ("basedir", "user", "group")},
        "address": f":{config.get('omero.web.application_server.port', 4080)}",
        "sites": [site] if boolean(variables["omero_web_nginx"]) else [],
        "ports": ports if boolean(variables["omero_web_nginx"]) else [],
    }


def decided(decide, look, unseen):
    """Decide on a host, where other instances may be about to be put on it, which no look can see yet.

    Where nothing is due, they are not asked for: of many hosts, each would take the longer the more there are.
    """
    planned = decide(look)
    others = unseen() if planned["steps"] else []
    if not others:
        return planned
    found = {one["name"]: one for one in [*others, *look["neighbours"]]}
    return decide({**look, "neighbours": list(found.values())})


def refuse_lack_of_modules(planned, host, is_there):
    """Refuse a plan that takes modules which the controller lacks, as one with ansible-core alone may."""
    firewall = planned.get("firewall", {})
    changes = [firewall["name"]] if firewall.get("open") or firewall.get("close") else []
    for what in changes + (["SELinux"] if "selinux" in planned.get("steps", ()) else []):
        lacking = sorted({name.rpartition(".")[0] for name in FOREIGN[what] if not is_there(name)})
        if lacking:
            named = " ".join(lacking)
            raise back.Refusal(
                f"{host} has {what}, and this controller lacks what changes it; install it there: ansible-galaxy "
                f"collection install {named}. Nothing has changed."
            )


# --- what Ansible sees ------------------------------------------------------------------------------------------------


class ActionModule(site_wants.RoleAction):
    """Finds out what is wanted, in the order in which it can be known, and plans."""

    _VALID_ARGS = frozenset(("look", "rollback", "archive_version", "ports"))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        look = self._task.args["look"]
        decide = self._rollback if self._task.args.get("rollback") else self._plan
        try:
            if "ports" in self._task.args:
                planned = self._around(look, self._task.args["ports"])
                refuse_lack_of_modules(planned, self.hostname, self._has_module)
                return {**result, "changed": False, **planned}
            told = warnings(look, self.hostname, self.constants["_omero_web_name"])
            planned = decided(decide, look, lambda: self._planned(task_vars))
            refuse_lack_of_modules(planned, self.hostname, self._has_module)
            turn = turn_of(look, boolean(self.checked["variables"]["omero_web_balanced"]), planned)
            return {**result, "changed": False, "warnings": told, **planned, "turn": turn}
        except back.Refusal as refusal:
            # An exception would be announced as one.
            return {**result, "failed": True, "msg": str(refusal)}

    def _has_module(self, name):
        return self._shared_loader_obj.module_loader.find_plugin(name) is not None

    def _known(self, look):
        """Return what is known of a host before its release is."""
        facts = self.variables["ansible_facts"]
        problem = site_wants.problem_of_platform(self.constants, facts, self.hostname)
        if problem:
            raise back.Refusal(problem)
        return site_wants.host_of(self.checked, self.constants, look, facts, self.hostname)

    def _around(self, look, ports):
        """Return what is known of a host that serves others of OMERO.web, and has these ports."""
        zones = self.checked["variables"]["omero_web_firewall_zones"]
        wanted = {"host": self.hostname, "ports": [int(port) for port in ports], "firewall_zones": zones}
        return {**self._known(look), "firewall": firewall_work(look, wanted, gone=[])}

    def _rollback(self, look):
        host = self._known(look)
        return {**host, **back.plan_rollback(look, site_wants.wanted_of_rollback(self.checked, self.constants, host))}

    def _plan(self, look):
        known, site = self._known(look), self.checked
        order = site_wants.order_of(site, self.constants, known)
        order["archive_version"] = self._task.args["archive_version"]
        release = choose_release(look, order)
        if release["problem"]:
            raise back.Refusal(release["problem"])
        pins = release["series"].get("constraints")
        constraints = self.file(pins).rstrip() if pins else ""
        known["shipping"] = site_wants.shipping_of(site, self.constants, known, release, constraints)
        definition = site_wants.definition_of(site, known["shipping"], release, constraints)
        known["wheels"] = self._wheels(release, known["shipping"], definition)
        definition.update(known["wheels"]["definition"])
        known["release"] = named_release(look, release, definition, order)
        known["socket"] = socket_of(order["name"], look, site["address"])
        wanted = site_wants.wanted_of(site, self.constants, known)
        wanted["despite_hold"] |= self._task.check_mode
        wanted["writes"] = [f"write {known['wheels']['lock_file']}"] if known["wheels"]["writes_lock"] else []
        wanted["contents"] = {file["path"]: self.content(file, known) for file in site["files"]}
        wanted["parts"] = site_wants.parts_of(site, self.generation_contents(known), known["release"], look)
        return {**known, **plan(look, wanted, known["release"])}

    def _wheels(self, release, shipping, definition):
        """Return which wheels a release is installed from, or refuse a lock file that does not fit."""
        site, platform = self.checked, self.constants["_omero_web_platform"]
        chosen_by = wheels.chosen_by(definition, shipping, platform, release)
        lock_file = site["variables"]["omero_web_lock_file"]
        try:
            lock = wheels.lock_in(Path(lock_file).expanduser(), chosen_by) if lock_file else None
        except wheels.Problem as problem:
            raise back.Refusal(f"{problem} Nothing has changed.") from None
        return wheels.wheels_of(site, chosen_by, lock, self.constants["_omero_web_platform_cache"])

    def _planned(self, task_vars):
        """Return the instances that this play is about to put on the same host, where no look can see them yet.

        The unnamed one need not ask: the others do, and are refused in its place.
        """
        hosts, own = task_vars["hostvars"], task_vars["inventory_hostname"]
        if not task_vars["omero_web_instance"]:
            return []
        where = {host: hosts[host].get("ansible_host", host) for host in task_vars["ansible_play_hosts"]}
        defaults = self._task._role.get_default_vars()
        others = (hosts[host] for host in where if host != own and where[host] == where[own])
        return [neighbour_of({name: other.get(name, value) for name, value in defaults.items()}) for other in others]
