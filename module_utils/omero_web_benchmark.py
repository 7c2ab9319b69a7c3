# -*- coding: utf-8 -*-
"""The benchmark of a site: which pages are asked for, by whom, in which steps, and when it is enough.

Also of other kinds of workers than the live ones: each runs beside the site, on a socket that nobody else knows.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import select
import sys
import time
from collections import namedtuple

try:
    from shlex import quote
except ImportError:  # Python 2.7
    from pipes import quote

from ansible.module_utils.omero_web_generation import Generation, acting_as, id_of_group, id_of_user
from ansible.module_utils.omero_web_host import (
    Problem,
    in_words,
    linked_generation,
    read,
    remove_file,
    remove_tree,
    write,
)
from ansible.module_utils.omero_web_http import LOGIN_PAGE, Place, ask, place_of
from ansible.module_utils.omero_web_load import (
    MOST_AT_ONCE,
    MOST_PER_SECOND,
    ApacheBench,
    Asker,
    Load,
    Watch,
    at_once,
    at_rate,
    clock,
)
from ansible.module_utils.omero_web_process import Lock, in_a_process_of_its_own
from ansible.module_utils.omero_web_status import workers
from ansible.module_utils.omero_web_systemd import Commands, Systemd
from ansible.module_utils.omero_web_transaction import PROBE_FILE, RUNTIME_UNITS, Host
from ansible.module_utils.omero_web_trial import Trial, as_page, fault_of, quoted, static_files_in
from ansible.module_utils.omero_web_units import RUNNING

API_ROOT = "/api/"
THUMBNAIL = "/webgateway/render_thumbnail/%d/"
PLANE = "/webgateway/render_image/%d/0/0/"
PICTURE = "image/jpeg"
# For logging in, in seconds.
LOGIN_TIMEOUT = 120
REQUEST_TIMEOUT = 60
# Of new workers, each asks OMERO.server for the first time; nobody is to wait for that in what is measured.
WARM_UP = 5
# How the time that a site needs for itself is left to it.
CPU_WEIGHT = 20
# Each kind of workers is measured so often, the second time in the other order: what else the host does meanwhile is
# then nobody's fault, and how much two runs of the same differ tells what a difference is worth.
ROUNDS = 2
# For a trial to end, beside what is measured.
SPARE_SECONDS = 300
PIP_TIMEOUT = 300

# What is asked for: paths in turn, with a session or, where anybody may see them, without.
Target = namedtuple("Target", "name paths is_public kind")


# --- what is asked for ------------------------------------------------------------------------------------------------


def targets_of(params, login_page):
    """Return what is asked for: what the site names, and otherwise what everybody asks for; and pictures of images."""
    prefix, has_user = params["prefix"], params["user"] is not None
    given = [Target(path, [prefix + path], not has_user, "") for path in params["paths"]]
    usual = [Target("login page", [prefix + LOGIN_PAGE], True, ""), Target("API root", [prefix + API_ROOT], True, "")]
    names = static_files_in(login_page, params["static_url"]) if params["static_url"].startswith("/") else []
    usual += [Target("static file", [params["static_url"] + name], True, "") for name in names[:1]]
    images = params["images"]
    pictures = [Target(name, [prefix + path % image for image in images], False, PICTURE)
                for name, path in (("thumbnails", THUMBNAIL), ("planes", PLANE)) if images]
    return (given or usual) + pictures


# --- the benchmark ----------------------------------------------------------------------------------------------------


class Benchmark(object):
    """Steps of load on one site. Each stays within its number of requests and its seconds; errors end it all."""

    def __init__(self, params, host, commands, is_wanted=lambda: True):
        self.params, self.host, self.commands, self.is_wanted = params, host, commands, is_wanted
        self.place = place_of(params["url"])[0]
        self.deadline = clock() + params["timeout"]
        self.rows, self.kinds, self.rates = [], [], {}
        self.stopped, self.headers, self.round = "", {}, 1
        self.watch = Watch(self.place, params["health"], params["host"], params["patience"])

    def run(self):
        """Measure, and return what there is to say; a Problem says why nothing was measured."""
        rest = self.watch.rest()
        login_page = self.ask("GET", self.params["prefix"] + LOGIN_PAGE, {}, None, REQUEST_TIMEOUT, 0)
        targets = targets_of(self.params, login_page.content.decode("utf-8", "replace"))
        user = self.user()
        try:
            if user is not None:
                self.log_in(user, targets)
            for target in targets:
                self.see(target)
            with self.watch:
                self.measure_all(targets)
        finally:
            if user is not None:
                user.log_out()
        return {
            "rows": self.rows,
            "kinds": self.kinds,
            "stopped": self.stopped,
            "rest_ms": round(1000 * rest, 2),
            "slowest_ms": round(1000 * max(rest, self.watch.slowest), 2),
        }

    def measure_all(self, targets):
        if not self.params["kinds"]:
            for target in targets:
                self.measure(target, "", self.place)
        pairs = [(kind, {"name": kind["name"], "memory_mb": 0, "problem": ""}) for kind in self.params["kinds"]]
        self.kinds = [known for dummy, known in pairs]
        for self.round in range(1, ROUNDS + 1) if pairs else ():
            for kind, known in pairs:
                if not known["problem"] and not self.is_over():
                    self.measure_kind(kind, known, targets)
            pairs.reverse()

    # -- who asks

    def ask(self, method, path, headers, body, seconds, dummy):
        return ask(self.place, method, path, self.params["host"], seconds, headers, body)

    def user(self):
        """Return who sees what not everybody may, None where nobody is to. The public user has no name."""
        user = self.params["user"]
        if user is None:
            return None
        target = {"prefix": self.params["prefix"], "host": self.params["host"], "url": self.params["url"],
                  "static_url": self.params["static_url"]}
        known = dict(user, timeout=LOGIN_TIMEOUT, request_timeout=REQUEST_TIMEOUT)
        return Trial(target, {}, known, self.ask, None)

    def log_in(self, user, targets):
        """Log in by OMERO.web's own form; the public user has a session with the first page that it sees."""
        if self.params["user"]["user"]:
            user.log_in()
        else:
            path = next((target.paths[0] for target in targets if not target.is_public), LOGIN_PAGE)
            user.ask("GET", path)
        self.headers = {"Cookie": user.cookies.header()} if user.cookies.values else {}

    def see(self, target):
        """See that there is what is asked for: nobody wants to know how fast a page of an error is."""
        for path in target.paths:
            reply = self.ask("GET", path, {} if target.is_public else self.headers, None, REQUEST_TIMEOUT, 0)
            fault = fault_of(as_page(path, target.kind), reply)
            if fault:
                raise Problem("%s %s" % (quoted(path), fault))

    # -- the steps

    def is_over(self):
        """Tell whether it is enough, and keep the reason."""
        if not self.stopped:
            if self.watch.reason:
                self.stopped = self.watch.reason
            elif clock() > self.deadline:
                self.stopped = "the %d s of omero_web_benchmark_timeout were over" % self.params["timeout"]
            elif not self.is_wanted():
                self.stopped = "whoever started it is gone"
        return bool(self.stopped)

    def measure(self, target, kind, place):
        """Measure in steps of more and more at once, and then at a rate that the site can bear."""
        for concurrency in self.params["concurrency"]:
            if self.is_over():
                return
            self.keep(target, kind, concurrency, 0, self.step(target, kind, place, concurrency))
        if not self.is_over():
            rate = self.rate_for(target, kind)
            requests = max(min(self.params["requests"], int(rate * self.params["seconds"])), 1)
            load = self.load(target, place, at_rate(rate, requests))
            self.keep(target, kind, 0, rate, (load.run(min(requests, MOST_AT_ONCE)), load))

    def step(self, target, kind, place, concurrency):
        requests, seconds = max(self.params["requests"], concurrency), self.params["seconds"]
        if target.is_public and not kind:
            bench = ApacheBench(self.params["url"], self.params["host"])
            return bench.run(target.paths[0], concurrency, requests, seconds, self.is_over), None
        load = self.load(target, place, at_once(requests))
        return load.run(concurrency), load

    def load(self, target, place, dues):
        headers = {} if target.is_public else self.headers
        if self.params["url"].startswith("https:"):
            headers = dict(headers, **{"X-Forwarded-Proto": "https"})
        asker = Asker(place, self.params["host"], headers)
        return Load(asker.ask, target.paths, dues, self.params["seconds"], self.is_over)

    def rate_for(self, target, kind):
        """Return the requests per second that are asked for at a constant rate: of all kinds of workers the same."""
        if target.name not in self.rates:
            best = max(row["per_second"] for row in self.rows if (row["target"], row["kind"]) == (target.name, kind))
            self.rates[target.name] = self.params["rate"] or min(max(round(best / 2, 1), 1), MOST_PER_SECOND)
        return self.rates[target.name]

    def keep(self, target, kind, concurrency, rate, measured):
        figures, load = measured
        self.rows.append({
            "kind": kind,
            "round": self.round,
            "target": target.name,
            "path": target.paths[0],
            "tool": "ab" if load is None else "omero-web",
            "concurrency": concurrency,
            "rate": rate,
            "requests": figures.requests,
            "errors": figures.errors,
            "seconds": figures.seconds,
            "per_second": round(figures.requests / figures.seconds, 2) if figures.seconds else 0,
            "percentiles": figures.percentiles,
        })
        if figures.errors:
            how = "%g in a second" % rate if rate else "%d at once" % concurrency
            sentence = "%d of %d requests for the %s failed at %s%s" % (
                figures.errors, figures.requests + figures.errors, target.name, how,
                " (%s)" % statuses_in_words(load.statuses) if load else "")
            if kind:
                # Nobody but the trial is in need.
                raise Problem(sentence)
            self.stopped = self.stopped or sentence

    # -- kinds of workers

    def measure_kind(self, kind, known, targets):
        """Measure a kind of workers; one that fails is no reason to go without the others."""
        trial = TrialOfWorkers(self.params, self.host, self.commands, kind)
        dynamic = [target for target in targets if target.name != "static file"]
        try:
            with trial as place:
                with trial.acting_as_service():
                    for target in dynamic:
                        self.warm_up(target, place, kind)
                    for target in dynamic:
                        self.measure(target, kind["name"], place)
                known["memory_mb"] = trial.memory()
        except (Problem, EnvironmentError) as error:
            known["problem"] = in_words(error).rstrip(".")

    def warm_up(self, target, place, kind):
        load = self.load(target, place, at_once(WARM_UP * kind["workers"]))
        load.run(kind["workers"])
        if load.errors:
            raise Problem("its answers for the %s failed (%s)" % (target.name, statuses_in_words(load.statuses)))


def statuses_in_words(statuses):
    words = [("status %d" % status if status else "no answer") for status in sorted(statuses)]
    return ", ".join(words)


# --- a kind of workers, beside the site -------------------------------------------------------------------------------


class TrialGeneration(Generation):
    """What the live generation is, with other workers. It has a place of its own, so that none takes it for one of the
    site's; from there, links to the release and the sessions lead where they lead from a generation."""

    def __init__(self, host, basedir, number):
        Generation.__init__(self, host, basedir, number)
        self.top = host.path(basedir, "benchmark")
        self.directory = os.path.join(self.top, str(number))


class TrialOfWorkers(object):
    """A unit that is the live generation's but for its workers, its socket and its log, and that is gone in the end.

    systemd ends it even if this process cannot.
    """

    def __init__(self, params, host, commands, kind):
        self.params, self.host, self.kind = params, host, kind
        self.commands, self.systemd = commands, Systemd(commands)
        self.basedir, self.name = params["basedir"], params["name"]
        self.number = linked_generation(host.path(self.basedir), "current")
        self.live = Generation(host, self.basedir, self.number)
        self.generation = TrialGeneration(host, self.basedir, self.number)
        self.unit = "%s-benchmark.service" % self.name
        self.unit_path = host.path(RUNTIME_UNITS, self.unit)

    def __enter__(self):
        self.clear()
        began = int(time.time())
        try:
            self.make()
            self.systemd.reload()
            self.start(began)
        except Exception:
            self.clear()
            raise
        return Place(self.host.path("/run/%s-benchmark/benchmark.sock" % self.name), False)

    def __exit__(self, *dummy):
        self.clear()

    def make(self):
        text = read(self.live.path(PROBE_FILE))
        if text is None:
            raise Problem("generation %d has no %s to make a trial from" % (self.number, PROBE_FILE))
        gid = id_of_group(self.params["group"])
        os.mkdir(self.generation.top, 0o755)
        self.generation.make_directories(gid)
        self.generation.copy(self.live, self.name)
        packages = self.install()
        if packages:
            # OMERO.web's own settings want to see them.
            sys.path.append(packages)
        self.generation.configure({"settings": self.kind["settings"], "from": self.number}, gid)
        if not os.path.isdir(os.path.dirname(self.unit_path)):
            os.makedirs(os.path.dirname(self.unit_path), 0o755)
        write(self.unit_path, self.unit_text(text.decode("utf-8"), packages).encode("utf-8"))

    def install(self):
        """Install what this kind of workers needs and the release does not have; return where, empty if nothing is."""
        python = self.live.path("release/venv/bin/python")
        if not self.kind["needs"] or self.commands.run(python, "-c", "import " + self.kind["needs"]).code == 0:
            return ""
        packages, pip = os.path.join(self.generation.top, "packages"), self.params["pip"]
        # Sources of packages may have passwords in them, which are for no command line.
        wanted = os.path.join(self.generation.top, "requirements")
        write(wanted, "\n".join(pip["sources"] + self.kind["packages"] + [""]).encode("utf-8"), 0o600)
        command = "exec %s %s --quiet --only-binary=gevent,greenlet --target %s < %s" % (
            quote(python), pip["install"], quote(packages), quote(wanted))
        done = self.commands.run("sh", "-c", command, seconds=PIP_TIMEOUT)
        if done.code != 0:
            raise Problem("its packages (%s) cannot be installed: %s" % (
                ", ".join(self.kind["packages"]), quoted(done.errors.strip().split("\n")[-1])))
        return packages

    def unit_text(self, text, packages):
        owner = id_of_user(self.params["service_user"]), id_of_group(self.params["group"])
        seconds = self.params["timeout"] + SPARE_SECONDS
        found = re.search(r"systemd (\d+)", self.commands.run("systemctl", "--version").output)
        systemd = int(found.group(1)) if found else 0
        return unit_of(text, self.number, self.name, self.basedir, packages, seconds, owner, systemd)

    def start(self, began):
        try:
            self.systemd.start(self.unit, seconds=self.params["start_timeout"] + 30)
        except Problem:
            log = self.systemd.log(self.unit, began)
            lines = [line for line in log if re.match(r"\w+(\.\w+)*(Error|Exception)", line)]
            raise Problem("it did not start%s" % (": " + quoted(lines[-1]) if lines else ""))

    def acting_as_service(self):
        return acting_as(id_of_user(self.params["service_user"]), id_of_group(self.params["group"]))

    def memory(self):
        """Return the memory of its processes, in MiB."""
        return workers(self.systemd.units(self.unit).get(self.unit, {}).get("control_group", ""))["pss_mb"]

    def clear(self):
        """Remove all of it, and whatever one that was cut off left."""
        is_loaded = self.systemd.state(self.unit) in RUNNING + ("deactivating",)
        if is_loaded:
            self.systemd.stop(self.unit)
        self.systemd.forget(self.unit)
        if remove_file(self.unit_path) or is_loaded:
            self.systemd.reload()
        if os.path.isdir(self.generation.top):
            remove_tree(self.generation.top)


def unit_of(text, number, name, basedir, packages, seconds, owner, systemd):
    """Return a unit for other workers, from the one in which the generation was tried before it went live."""
    top = "%s/benchmark" % basedir
    directory = "%s/%d" % (top, number)
    for one, other in (
        ("%i", str(number)),
        ("%s/generations/%d" % (basedir, number), directory),
        ("%s-probe-%d" % (name, number), "%s-benchmark" % name),
        ("probe.sock", "benchmark.sock"),
        ("probe.pid", "benchmark.pid"),
        (" --workers 1 ", " "),
        ("(probe)", "(benchmark)"),
    ):
        text = text.replace(one, other)
    more = [
        (0, "Environment=OMERO_WEB_GRACEFUL_TIMEOUT=5"),
        (0, "TimeoutStopSec=15"),
        (229, "RuntimeMaxSec=%d" % seconds),
        # The site's own workers, with their 100, come first.
        (232, "CPUWeight=%d" % CPU_WEIGHT),
        # The site's log is not for what is no user's.
        (238, "TemporaryFileSystem=%s/var/log:mode=0750,uid=%d,gid=%d,size=64M" % ((basedir,) + owner)),
        (231, "ExecStopPost=+/bin/rm -rf %s %s/%s-benchmark.service" % (top, RUNTIME_UNITS, name)),
    ]
    more += [(0, "Environment=PYTHONPATH=%s" % packages)] if packages else []
    return "\n".join([text.rstrip("\n"), "", "[Service]"] + [line for since, line in more if systemd >= since]) + "\n"


# --- the process ------------------------------------------------------------------------------------------------------


def benchmark(params, host, commands, is_wanted=lambda: True):
    """Measure, and return what the module is to say, with `failed` if nothing could be measured."""
    lock = Lock(host.path("/run/%s-benchmark.lock" % params["name"]), params["by"])
    try:
        lock.take(0)
    except Problem:
        return dict(failed=True, msg="Another benchmark of this site is running on this host; wait for its end.")
    try:
        return Benchmark(params, host, commands, is_wanted).run()
    except Exception as error:
        sentence = in_words(error)
        return dict(failed=True, msg=sentence[:1].upper() + sentence[1:] + ("" if sentence.endswith(".") else "."))
    finally:
        lock.free()


def benchmark_as_a_whole(params):
    """Measure in a process that stops, and takes back all that it has set up, where nobody waits for it any more."""
    # In that process, it is another.
    output = os.dup(sys.stdout.fileno())

    def work(is_wanted):
        return benchmark(params, Host(), Commands(), lambda: is_wanted() and is_read(output))

    return in_a_process_of_its_own(work)


def is_read(handle):
    """Tell whether there is still a connection behind an output: that it is gone is told without being asked for."""
    poll = select.poll()
    poll.register(handle, 0)
    return not poll.poll(0)
