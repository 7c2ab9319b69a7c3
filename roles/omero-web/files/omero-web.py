from __future__ import absolute_import, division, print_function

import argparse
import io
import json
import os
import sys
import textwrap

HELP = "What an administrator asks of OMERO.web on its host, where no controller is at hand."
WIDTH = 110


def say(text):
    """Print a text as UTF-8, whatever the locale is, for any Python."""
    getattr(sys.stdout, "buffer", sys.stdout).write(text.encode("utf-8") + b"\n")


def from_command_line(words):
    """Return words as a text, whatever the locale is, for any Python."""
    encoded = [os.fsencode(word) if hasattr(os, "fsencode") else word for word in words]
    return b" ".join(encoded).decode("utf-8", "replace")


def history(basedir, number):
    """Return the last changes of this host, the oldest first."""
    path = os.path.join(basedir, "history")
    if not os.path.exists(path):
        return []
    with io.open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines][-number:]


def lines_of(change):
    """Return the lines that tell of one change."""
    began = change["began"].replace("T", " ").replace("+00:00", " UTC")
    numbers = u"{from} -> {to}".format(**change) if change["from"] != change["to"] else change["to"]
    took = " in %s s" % change["seconds"] if "seconds" in change else ""
    first = u"%s  %s  %s%s  %s" % (began, numbers, change["outcome"], took, change["by"])
    more = textwrap.wrap("; ".join(change["says"]), WIDTH) + textwrap.wrap(change.get("reason", ""), WIDTH)
    return [first] + ["    " + line for line in more]


def show_history(basedir, arguments):
    changes = history(basedir, arguments.number)
    if arguments.json:
        say(u"" + json.dumps(changes, indent=4, sort_keys=True))
    else:
        say(u"\n".join(line for change in changes for line in lines_of(change)) or u"Nothing has changed yet.")


def hold(basedir, arguments):
    """Keep the site as it is, let it be changed again, or say which it is."""
    path = os.path.join(basedir, "hold")
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


def parser(name):
    top = argparse.ArgumentParser(prog=name, description=HELP)
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    one = commands.add_parser("history", help="say what has changed on this host, when, by whom, and how it ended")
    one.add_argument("-n", "--number", type=int, default=20, help="how many changes (%(default)s)")
    one.add_argument("--json", action="store_true", help="as JSON")
    one.set_defaults(action=show_history)
    one = commands.add_parser("hold", help="keep the site as it is: site.yml refuses to change it")
    one.add_argument("why", nargs="*", metavar="WHY", help="the reason; without one, say what it is")
    one.add_argument("--end", action="store_true", help="let the site be changed again")
    one.set_defaults(action=hold)
    return top


def main(name, basedir, words=None):
    """Do what the command line says; return what is wrong, as sys.exit takes it."""
    arguments = parser(name).parse_args(words)
    try:
        arguments.action(basedir, arguments)
    except EnvironmentError as error:
        return "%s: %s: %s" % (name, error.filename, error.strerror)
