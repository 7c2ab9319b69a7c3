"""The command omero-web: what an administrator asks of OMERO.web on its host, where no controller is at hand.

It runs on any Python of an operating system, from 2.7 on, by the same code as the role's modules.
"""

from __future__ import absolute_import, division, print_function

import argparse
import getpass
import io
import json
import os
import sys
import time

from ansible.module_utils import omero_web_bundle
from ansible.module_utils.common.text.converters import to_native, to_text
from ansible.module_utils.omero_web_diff import lines_of_difference
from ansible.module_utils.omero_web_history import changes, lines_of_change
from ansible.module_utils.omero_web_host import Problem, in_words, linked_generation
from ansible.module_utils.omero_web_logs import CONTROL, Journal, LogFile, following_lines, last_lines, shown
from ansible.module_utils.omero_web_look import look_at_generations
from ansible.module_utils.omero_web_maintenance import Maintenance
from ansible.module_utils.omero_web_process import Lock
from ansible.module_utils.omero_web_rollback import Refusal, plan_rollback
from ansible.module_utils.omero_web_status import exit_code_of, lines_of, measure, status_of
from ansible.module_utils.omero_web_systemd import Commands, Systemd
from ansible.module_utils.omero_web_transaction import Host, change_as_a_whole

HELP = "What an administrator asks of OMERO.web on its host, where no controller is at hand."
# Of the log of a generation that does not start.
LAST_LINES = 20
MOST_CHANGES = 200


def say(text, to="stdout"):
    """Print a text as UTF-8, whatever the locale is, for any Python; nothing in it commands a terminal."""
    stream = getattr(sys, to)
    getattr(stream, "buffer", stream).write(CONTROL.sub(u"?", to_text(text)).encode("utf-8", "replace") + b"\n")
    stream.flush()


def as_text(data):
    return u"" + json.dumps(data, indent=4, sort_keys=True)


def from_command_line(words):
    """Return words as a text, whatever the locale is, for any Python."""
    encoded = [os.fsencode(word) if hasattr(os, "fsencode") else word for word in words]
    return b" ".join(encoded).decode("utf-8", "replace")


# --- status -----------------------------------------------------------------------------------------------------------


def show_status(settings, arguments):
    """Say what the state of the site is; return 0, 1 or 2 for ok, attention or down."""
    commands = Commands()
    status = status_of(measure(Host(), commands, Systemd(commands), settings))
    lines = lines_of(status)
    say(as_text(dict(status, summary=lines)) if arguments.json else u"\n".join(lines))
    return exit_code_of(status)


# --- history ----------------------------------------------------------------------------------------------------------


def show_history(settings, arguments):
    found = changes(settings["basedir"], arguments.number)
    if arguments.json:
        say(as_text(found))
    else:
        say(u"\n".join(line for change in found for line in lines_of_change(change)) or u"Nothing has changed yet.")


def show_difference(settings, arguments):
    """Say in what two generations differ: the live one from that before it, if none is named."""
    basedir = settings["basedir"]
    new = arguments.new or linked_generation(basedir, "current")
    old = arguments.old or linked_generation(basedir, "previous")
    if not old or not new:
        return "there are no two generations to compare"
    say(u"\n".join(lines_of_difference(basedir, old, new)) or u"Generation %d is as generation %d." % (new, old))
    return None


# --- hold -------------------------------------------------------------------------------------------------------------


def hold(settings, arguments):
    """Keep the site as it is, let it be changed again, or say which it is."""
    path = os.path.join(settings["basedir"], "hold")
    if arguments.end and os.path.exists(path):
        os.unlink(path)
    if arguments.why:
        with io.open(path + ".new", "w", encoding="utf-8") as target:
            target.write(from_command_line(arguments.why) + u"\n")
        os.rename(path + ".new", path)
    if os.path.exists(path):
        with io.open(path, encoding="utf-8") as source:
            say(u"On hold: " + source.readline().strip())
    else:
        say(u"Not on hold.")


# --- maintenance ------------------------------------------------------------------------------------------------------


def maintain(settings, arguments):
    """Close the site for users, open it again, or say which it is."""
    host = Host()
    maintenance = Maintenance(host, settings["basedir"], Systemd(Commands()), settings["nginx_variable"],
                              settings["health_path"])
    lock = Lock(host.path("/run/%s.lock" % settings["name"]), who(settings["name"]))
    if arguments.state:
        if not settings["change"]["nginx"]:
            return "nginx is not the role's on this host (omero_web_nginx), and it is nginx that closes a site"
        lock.take(settings["change"]["lock_timeout"])
    try:
        if arguments.state == "on":
            text, until = (from_command_line(words) for words in (arguments.text, arguments.until))
            maintenance.close(settings["branding"], text, until, arguments.let_through, arguments.fail_health, lock.by)
        elif arguments.state == "off":
            maintenance.open()
    finally:
        lock.free()
    say(sentence_of_maintenance(maintenance.state(), settings["prefix"]))
    return None


def sentence_of_maintenance(state, prefix):
    if not state:
        return u"The site is open."
    until = u" until " + state["until"] if state["until"] else u""
    return u"The site is closed%s, since %s, by %s. Whoever opens %s/omero-web-let-in/%s there gets through." % (
        until, state["since"], state["by"], prefix, state["token"])


# --- rollback ---------------------------------------------------------------------------------------------------------


def roll_back(settings, arguments):
    """Go back to a generation, as rollback.yml does; return what went wrong, if anything did."""
    systemd = Systemd(Commands())
    look = look_at_generations(settings["name"], settings["basedir"], systemd, settings["timeout"])
    plan = plan_rollback(look, dict(settings["rollback"], generation=arguments.generation))
    for sentence in plan["says"]:
        say(u"" + sentence)
    if arguments.check:
        return None
    change = dict((key, value) for key, value in plan["change"].items() if key != "release")
    # The password of the user that a controller would try it as is not on this host.
    own = {"by": who(settings["name"]), "says": plan["says"], "tried_as": None}
    try:
        result = change_as_a_whole(dict(change, **dict(settings["change"], **own)))
    except KeyboardInterrupt:
        return "the change goes on to its end; `%s history` tells how it ended" % settings["name"]
    if result is None:
        return "the process that changes this host was killed; run again, which finishes or repeats its work"
    if result.get("failed"):
        return "\n".join([result["msg"]] + result["outcome"]["log"][-LAST_LINES:])
    if result["stale"]:
        return "another run has changed this host meanwhile; nothing was done, run again"
    for remark in result["remarks"]:
        say(u"" + remark)
    plan["to"] = plan["generation"] or "the OMERO.web from before the role"
    say(u"This host went back from generation {live} to {to}. The next run of site.yml makes what its "
        "variables want again; `{name} hold WHY` keeps it from that.".format(name=settings["name"], **plan))
    return None


def who(name):
    """Return who changes this host, as its history and its lock tell it."""
    return "%s, by %s on %s" % (name, os.environ.get("SUDO_USER") or getpass.getuser(), os.uname()[1])


# --- logs -------------------------------------------------------------------------------------------------------------


def show_logs(settings, arguments):
    journal = Journal(settings["name"])
    files = log_files(settings)
    for line in last_lines(journal, files, arguments.number):
        say(shown(line))
    try:
        for line in following_lines(journal, files) if arguments.follow else ():
            say(shown(line))
    except KeyboardInterrupt:
        pass


def log_files(settings):
    """Return the files that a site logs into."""
    own = LogFile("OMEROweb.log", os.path.join(settings["basedir"], "var/log/OMEROweb.log"))
    return [own] + [LogFile("nginx " + kind, path) for kind, path in sorted(settings["nginx_logs"].items())]


# --- the bundle -------------------------------------------------------------------------------------------------------


def bundle(settings, arguments):
    """Write what helpers want to know into one archive, without secrets."""
    commands, name, basedir = Commands(), settings["name"], settings["basedir"]
    status = status_of(measure(Host(), commands, Systemd(commands), settings))
    when = time.strftime("%Y-%m-%d-%H%M%S")
    directory = "%s-%s-%s" % (name, os.uname()[1], when)
    texts = {
        "README.txt": omero_web_bundle.READ_ME.format(host=os.uname()[1], time=when),
        "status.txt": u"\n".join(lines_of(status)),
        "status.json": as_text(status),
        "history.txt": u"\n".join(line for one in changes(basedir, MOST_CHANGES) for line in lines_of_change(one)),
        "logs.txt": omero_web_bundle.logs(Journal(name), log_files(settings)),
    }
    texts.update(omero_web_bundle.generations(basedir))
    texts.update(omero_web_bundle.host(commands, name, basedir))
    path = os.path.abspath(arguments.file or directory + ".tar.gz")
    omero_web_bundle.pack(path, directory, texts, omero_web_bundle.all_secrets(basedir))
    say(u"%s has what helpers want to know, without secrets; look through it before you give it to others." % path)


# --- the command line -------------------------------------------------------------------------------------------------


def native(value):
    """Return what JSON says in texts of this Python's own kind, as Ansible gives them to modules."""
    if isinstance(value, dict):
        return dict((native(key), native(inner)) for key, inner in value.items())
    if isinstance(value, list):
        return [native(inner) for inner in value]
    return to_native(value) if isinstance(value, type(u"")) else value


def parser(name):
    top = argparse.ArgumentParser(prog=name, description=HELP)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    one = commands.add_parser("status", help="say what the state of the site is; exits with 0, 1 or 2")
    one.add_argument("--json", action="store_true", help="as JSON, for monitoring")
    one.set_defaults(action=show_status)
    one = commands.add_parser("history", help="say what has changed on this host, when, by whom, and how it ended")
    one.add_argument("-n", "--number", type=int, default=20, help="how many changes (%(default)s)")
    one.add_argument("--json", action="store_true", help="as JSON")
    one.set_defaults(action=show_history)
    one = commands.add_parser("diff", help="say in what two generations differ, secrets masked")
    one.add_argument("old", nargs="?", type=int, metavar="OLD", help="the first (the one before the live one)")
    one.add_argument("new", nargs="?", type=int, metavar="NEW", help="the second (the live one)")
    one.set_defaults(action=show_difference)
    one = commands.add_parser("hold", help="keep the site as it is: site.yml refuses to change it")
    one.add_argument("why", nargs="*", metavar="WHY", help="the reason; without one, say what it is")
    one.add_argument("--end", action="store_true", help="let the site be changed again")
    one.set_defaults(action=hold)
    one = commands.add_parser("maintenance", help="close the site for users, open it again, or say which it is")
    one.add_argument("state", nargs="?", choices=("on", "off"), help="on closes it; without, say which it is")
    one.add_argument("--text", nargs="+", default=[], metavar="WORD", help="what users are told")
    one.add_argument("--until", nargs="+", default=[], metavar="WORD", help="when it ends, as users are told")
    one.add_argument("--let-through", nargs="+", default=[], metavar="ADDRESS", help="addresses that get through")
    one.add_argument("--fail-health", action="store_true", help="let health checks fail (omero_web_health_path)")
    one.set_defaults(action=maintain)
    one = commands.add_parser("rollback", help="go back to a generation, as rollback.yml does")
    one.add_argument("generation", nargs="?", type=int, default=0, metavar="N", help="which (the one before this)")
    one.add_argument("--check", action="store_true", help="say what would be done, and change nothing")
    one.set_defaults(action=roll_back)
    one = commands.add_parser("logs", help="show what units, OMERO.web and nginx have logged, in one stream by time")
    one.add_argument("-n", "--number", type=int, default=100, help="how many lines (%(default)s)")
    one.add_argument("-f", "--follow", action="store_true", help="go on with what is logged from now on")
    one.set_defaults(action=show_logs)
    one = commands.add_parser("bundle", help="write an archive for helpers, with all of this but secrets")
    one.add_argument("file", nargs="?", metavar="FILE", help="which (one here, with the name of the host and the time)")
    one.set_defaults(action=bundle)
    return top


def main(words=None):
    """Do what the command line says; return the exit code."""
    text = __loader__.get_data(os.path.join(sys.path[0], "settings.json")).decode("utf-8")
    settings = native(json.loads(text))
    name = settings["name"]
    arguments = parser(name).parse_args(words)
    try:
        # Others may read too little of it to be told the truth.
        problem = arguments.action(settings, arguments) if os.geteuid() == 0 else "run it as root"
    except (EnvironmentError, Problem, Refusal) as error:
        problem = str(error) if isinstance(error, Refusal) else in_words(error)
    if not problem or isinstance(problem, int):
        return problem
    say(u"%s: %s" % (name, to_text(problem)), to="stderr")
    return 1


if __name__ == "__main__":
    sys.exit(main())
