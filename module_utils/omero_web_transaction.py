# -*- coding: utf-8 -*-
"""The change of a host: a generation is made, tried and put live as a whole, or all of it is undone."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import re
import stat
import time

try:
    from urllib.parse import unquote
except ImportError:  # Python 2.7
    from urllib import unquote

from ansible.module_utils.common.text.converters import to_native
from ansible.module_utils.omero_web_former import Former
from ansible.module_utils.omero_web_generation import Generation, acting_as, id_of_group, id_of_user
from ansible.module_utils.omero_web_history import History
from ansible.module_utils.omero_web_host import (
    ACTIVATED,
    Ground,
    Problem,
    as_json,
    destination_of,
    generations,
    in_words,
    linked_generation,
    listeners,
    listing,
    now,
    point,
    read,
    remove_file,
    remove_tree,
    sweep,
    write,
)
from ansible.module_utils.omero_web_http import (
    LOGIN_PAGE,
    Place,
    ask,
    get,
    get_once,
    host_and_port,
    place_of,
)
from ansible.module_utils.omero_web_nginx import NGINX_SERVICE, Nginx
from ansible.module_utils.omero_web_process import Lock, in_a_process_of_its_own
from ansible.module_utils.omero_web_removal import SESSIONS, Removal
from ansible.module_utils.omero_web_systemd import Commands, Systemd
from ansible.module_utils.omero_web_trial import Broken, Trial, Unreachable
from ansible.module_utils.omero_web_units import RUNNING, UNITS, Units

RUNTIME_UNITS = "/run/systemd/system"
SERVICE_FILE = "omero-web.service"
SOCKET_FILE = "omero-web.socket"
PROBE_FILE = "probe.service"
SITE_FILE = "nginx.conf"
# The site while one prefix gives way to another: it answers under both.
MOVING_SITE_FILE = "nginx-moving.conf"
# Two generations share the socket while one takes over, and the kernel lets either have a request.
ANSWERS = 200
# Of so many, an accepting generation would have at least one.
ANSWERS_IN_A_ROW = 20
STATIC_ANSWERS = 50
SITE_LOGINS = 10
# So that nginx can get on with its reload.
SECONDS_BETWEEN_ANSWERS = 0.02
ANSWER_TIMEOUT = 60


class Host(object):
    """Where things are on a host; only tests have it below another root."""

    def __init__(self, root=""):
        self.root = root

    def path(self, *parts):
        return self.root + os.path.join(*[to_native(part) for part in parts])

    def listeners(self, port):
        return listeners(port)

    def get(self, place, path, name, timeout):
        return get(place, path, name, timeout)

    def get_once(self, place, path, name, timeout):
        return get_once(place, path, name, timeout)

    def ask(self, place, method, path, name, timeout, headers, body):
        return ask(place, method, path, name, timeout, headers, body)


# --- the change -------------------------------------------------------------------------------------------------------


class Transaction(object):
    """What must happen as a whole, in its order; each step leaves the host fit to serve, and to be changed again."""

    def __init__(self, params, host, commands):
        self.params, self.host = params, host
        self.systemd, self.commands = Systemd(commands), commands
        self.units = Units(params["name"], host, self.systemd)
        self.removal = Removal(params, host, self.units)
        self.history = History(host.path(params["basedir"]))
        self.name, self.basedir = params["name"], params["basedir"]
        self.target, self.fallback, self.make = params["target"], params["fallback"], params["make"]
        self.tried_as = params["tried_as"]
        self.generation = Generation(host, self.basedir, self.target["number"])
        self.service = self.units.service_of(self.target["number"])
        nginx = params["nginx"]
        self.nginx = Nginx(host, self.systemd, nginx.get("default_site")) if nginx is not None else None
        former = params["former"]
        self.former = Former(host, self.systemd, self.name, self.basedir, former) if former else None
        self.step, self.changed = "lock", False
        self.serving = self.fallback["number"]
        self.undo_problems, self.remarks = [], []
        self.previous = self.current = None

    # -- the order

    def run(self):
        """Change the host; a Problem says what went wrong, and self.step where."""
        if self.is_stale():
            return True
        self.undo(lambda: self.history.begin(self.entry()))
        if self.params["to_former"]:
            self.go_back_to_former()
            return False
        self.step = "remove"
        # The one before will be another by the time that anything is removed.
        moves = self.params["hand_over"] and self.fallback["number"] not in (0, self.target["number"])
        self.removal.refuse(self.removal.in_use(and_previous=not moves))
        self.step = "tidy"
        self.tidy_up()
        if self.params["hand_over"] and self.params["start"]:
            self.check_ports()
        if self.make is not None:
            self.make_generation()
        if self.params["trial"] and self.params["start"]:
            self.or_fail(self.try_generation)
        if self.make is not None:
            self.complete_generation()
        if self.params["hand_over"]:
            self.or_fail(self.test_nginx)
            self.hand_over()
            self.retire()
        self.step = "remove"
        self.removal.run()
        return False

    def is_stale(self):
        """Tell whether the host is no longer what was decided on."""
        basedir = self.host.path(self.basedir)
        numbers = [generation["number"] for generation in generations(basedir)[0]]
        seen = self.params["seen"]
        return linked_generation(basedir, "current") != seen["current"] or numbers != sorted(seen["generations"])

    def entry(self):
        """Return what the history has of a change that begins."""
        to = 0 if self.params["to_former"] else self.target["number"]
        numbers = {"from": self.params["seen"]["current"], "to": to}
        return dict(numbers, by=self.params["by"], says=self.params["says"])

    def tell(self, outcome, reason=""):
        """Let the history have how the change ended. A full disk is no reason for it to fail."""
        configuration = (self.make or {}).get("configuration") or {}
        secrets = list((configuration.get("secrets") or {}).values()) + [(self.tried_as or {}).get("password")]
        release = self.generation.release()
        self.undo(lambda: self.history.end(secrets, outcome=outcome, reason=reason, release=release))

    def or_fail(self, action):
        """Take a step after which nothing is live yet: where it fails, so has the generation."""
        try:
            action()
        except Exception:
            self.undo(self.mark_as_failed)
            raise

    def mark_as_failed(self):
        if self.target["number"] not in (self.fallback["number"], self.params["seen"]["current"]):
            self.generation.fail(self.own_manifest())

    def own_manifest(self):
        if self.make is None:
            return self.generation.manifest()
        return dict({"made": now(), "made_by": self.params["by"]}, **self.make.get("manifest") or {})

    # -- before

    def tidy_up(self):
        """End what runs that were cut off have left: trials, and removals half done."""
        for directory in "generations", "releases":
            sweep(self.host.path(self.basedir, directory))
        pattern = "%s-probe@*.service" % self.name
        left = [name for name in listing(self.host.path(RUNTIME_UNITS)) if self.units.is_probe(name)]
        running = [name for name, unit in self.systemd.units(pattern).items() if unit["active"] != "inactive"]
        if left or running:
            self.systemd.stop(*sorted(set(left + running)))
            for name in left:
                remove_file(self.host.path(RUNTIME_UNITS, name))
            self.systemd.reload()

    def check_ports(self):
        """See that OMERO.web and nginx can listen where they are to."""
        self.step = "ports"
        strangers = self.units.strangers(self.target["address"])
        if strangers:
            raise Problem("omero.web.application_server.host and .port are %s, where %s listens on this host; "
                          "stop it or set another port" % (self.target["address"], strangers))
        for variable, port in sorted(self.nginx_ports().items()):
            others = set(program or "another program" for listener in self.host.listeners(int(port))
                         for program in listener.programs or [""]) - set(["nginx"])
            if others:
                raise Problem("%s is %s, where %s listens on this host; stop it or set another port"
                              % (variable, port, " and ".join(sorted(others))))

    def nginx_ports(self):
        return (self.params["nginx"] or {}).get("ports") or {}

    # -- a new generation

    def make_generation(self):
        self.step = "make"
        directory = self.generation.directory
        if os.path.lexists(directory):
            self.clear_the_way(directory)
        try:
            self.write_generation()
        except Exception:
            self.undo(lambda: os.path.isdir(directory) and remove_tree(directory))
            raise

    def clear_the_way(self, directory):
        """Remove what a run that was cut off left of a generation of this number."""
        number = self.target["number"]
        if self.generation.manifest() or number in self.serving_now() or not os.path.isdir(directory):
            raise Problem("%s is there already" % directory)
        remove_tree(directory)

    def serving_now(self):
        current = linked_generation(self.host.path(self.basedir), "current")
        return self.units.running() | set([current, self.fallback["number"]])

    def write_generation(self):
        gid = id_of_group(self.params["group"])
        self.generation.make_directories(gid)
        if self.make.get("copy_of"):
            self.generation.copy(Generation(self.host, self.basedir, self.make["copy_of"]), self.name)
        else:
            self.generation.make_links(self.make.get("links") or {})
            self.make_sessions()
            self.generation.configure(self.make.get("configuration") or {}, gid)
            self.generation.write_files(self.make.get("files") or {})
        self.changed = True

    def make_sessions(self):
        """Make the service's directory of sessions, on ground where the service may have put anything."""
        name = to_native(self.make.get("sessions") or "")
        if not name:
            return
        if not SESSIONS.match(name):
            raise Problem("%s is no name of a directory of sessions" % name)
        with Ground(self.host.path(self.basedir), "var", "sessions") as sessions:
            sessions.make(name, id_of_user(self.params["user"]), id_of_group(self.params["group"]))

    def complete_generation(self):
        """Say that it is complete, last of all."""
        self.generation.complete(self.own_manifest())

    # -- the trial

    def try_generation(self):
        """Start the generation once on a socket that nobody else knows, in the sandbox that it will run in."""
        if not self.generation.has(PROBE_FILE):
            return
        self.step = "trial"
        unit = self.units.probe_of(self.target["number"])
        path = self.host.path(RUNTIME_UNITS, unit)
        began = int(time.time())
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path), 0o755)
        try:
            write(path, read(self.generation.path(PROBE_FILE)))
            self.systemd.reload()
            self.start(unit, began)
            self.ask_probe(unit, began)
            self.try_probe_as_user(unit, began)
        finally:
            self.undo(lambda: self.systemd.stop(unit))
            remove_file(path)

    def start(self, unit, began):
        try:
            self.systemd.start(unit, seconds=self.params["start_timeout"] + 30)
        except Problem as error:
            raise Problem(str(error), log=self.systemd.log(unit, began))

    def ask_probe(self, unit, began):
        with self.acting_as_service():
            answer = self.host.get(
                self.place_of_probe(), self.path_of_login(), self.target["host"], self.params["start_timeout"])
        if answer.status != 200:
            raise Problem(
                "its login page answered %s" % (answer.status or "nothing (%s)" % answer.reason),
                status=answer.status, log=self.systemd.log(unit, began),
            )
        missing = self.missing_in_release(self.static_files(answer.body))
        if missing:
            raise Problem("its login page asks for static files that its release does not have: %s"
                          % ", ".join(missing), status=200, missing_static=missing)

    def place_of_probe(self):
        return Place(self.host.path("/run/%s-probe-%d/probe.sock" % (self.name, self.target["number"])), False)

    def acting_as_service(self):
        """Where the service can write, its socket may be a link to one that answers to root alone."""
        return acting_as(id_of_user(self.params["user"]), id_of_group(self.params["group"]))

    def missing_in_release(self, names):
        static = self.generation.path("release/static")
        return [name for name in names
                if not os.path.exists(os.path.join(static, name))
                and not os.path.exists(os.path.join(static, unquote(name)))]

    # -- the trial as a user

    def try_probe_as_user(self, unit, began):
        """Let a user meet the generation where no other user can."""
        def ask_probe(method, path, headers, body, seconds, dummy):
            with self.acting_as_service():
                return self.host.ask(
                    self.place_of_probe(), method, path, self.target["host"], seconds, headers, body)

        if self.tried_as is not None:
            self.step = "user"
            try:
                self.try_as_user("", ask_probe, self.missing_in_release)
            except Problem as problem:
                raise Problem(str(problem), log=self.systemd.log(unit, began), **problem.details)

    def try_site_as_user(self):
        """Let a user meet the site, in which two generations answer while one takes over from the other.

        Either may log the user in. Where they do not know each other's sessions, it takes some more logins until the
        target has done so itself.
        """
        number = self.target["number"] if self.generation.says_who_answers() else 0
        place, dummy = place_of(self.target["url"])

        def ask_site(method, path, headers, body, seconds, by):
            deadline = time.time() + seconds
            while True:
                left = max(deadline - time.time(), 1)
                reply = self.host.ask(place, method, path, self.target["host"], left, headers, body)
                if not by or reply.generation in (0, by):
                    return reply
                if time.time() > deadline:
                    return reply._replace(status=0, reason="generation %d does instead" % reply.generation)
                time.sleep(SECONDS_BETWEEN_ANSWERS)

        if self.tried_as is not None and self.params["trial"]:
            self.try_as_user(
                " at %s" % self.target["url"], ask_site, self.missing_on_site, number=number, logins=SITE_LOGINS)

    def try_as_user(self, where, *ways, **more):
        """Raise what fails a user. An OMERO.server that does is told, and no reason to stop where the site says so."""
        user = self.tried_as["user"]
        by = "tried as %s%s" % ("the user %s" % user if user else "the public user", where)
        try:
            Trial(self.target, self.params["pages"], self.tried_as, *ways, **more).run()
        except Unreachable as problem:
            if self.tried_as["required"]:
                raise Problem("%s: %s; see to OMERO.server, or set omero_web_trial_required to false, and generations "
                              "go live without it" % (by, problem))
            self.tried_as = None  # Asked once more, it would only take as long again.
            number = self.target["number"]
            self.remarks.append("Generation %d went live and could not be %s: %s" % (number, by, problem))
        except Broken as problem:
            raise Problem("%s: %s" % (by, problem), **problem.details)

    def missing_on_site(self, names):
        """Return the first of these static files, if the site does not have it."""
        try:
            self.see_static_file(place_of(self.target["url"])[0], names)
        except Problem as problem:
            return problem.details["missing_static"]
        return []

    def path_of_login(self):
        return self.target["prefix"] + LOGIN_PAGE

    def static_files(self, page):
        """Return the names of the static files that a page asks for."""
        pattern = r'(?:href|src)="%s([^"?#]+)' % re.escape(self.target["static_url"])
        return sorted(set(to_native(name) for name in re.findall(pattern, page)))

    # -- the handover

    def test_nginx(self):
        """Let nginx judge the site before it could come to read it."""
        self.step = "nginx"
        if self.nginx:
            gone = {self.former.known["site"]: None} if self.former else {}
            self.nginx.test(dict(gone, **self.files_of(self.generation, self.target["installed"])))

    def files_of(self, generation, installed):
        """Return the content of the files that a generation installs, None for one that it does not have."""
        return dict((path, read(generation.path(name))) for name, path in installed.items())

    def hand_over(self):
        """Let the target take over. Whatever fails before `current` leads to it is undone."""
        self.step = "start"
        self.changed = True
        self.previous = destination_of(self.host.path(self.basedir, "previous"))
        self.current = destination_of(self.host.path(self.basedir, "current"))
        began = int(time.time())
        try:
            self.take_over(began)
            self.flip()
        except Exception as error:
            unit = NGINX_SERVICE if self.step == "nginx" else self.service
            log = self.systemd.log(unit, began) if self.params["start"] else []
            self.take_back()
            details = dict({"log": log}, **getattr(error, "details", {}))
            raise Problem(in_words(error), **details)
        self.serving = self.target["number"]

    def take_over(self, began):
        remove_file(self.generation.path(ACTIVATED))
        self.flush()
        if self.former:
            self.take_over_from_former(began)
            return
        if self.fallback["number"] not in (0, self.target["number"]):
            point(self.host.path(self.basedir, "previous"), "generations/%d" % self.fallback["number"])
        self.step = "nginx"
        if self.nginx:
            self.nginx.remove_default_site()
        self.install()
        if self.nginx:
            self.nginx.test_in_place()
        self.step = "start"
        self.systemd.reload()
        if self.params["start"]:
            self.start_units(began)
            self.see_that_it_answers()
            self.try_site_as_user()

    def take_over_from_former(self, began):
        """Let the target serve beside the OMERO.web that was there before, until nginx leads users to it.

        Each has an address of its own. So whenever power is lost, both start with the host, or the one of them whose
        site nginx has: the target as soon as `current` leads to it, the former one as long as it is enabled.
        """
        starts, site = self.params["start"], self.target["installed"].get(SITE_FILE)
        self.former.keep(site, anew=self.current is None)
        self.install(lambda name: name in (SERVICE_FILE, SOCKET_FILE))
        self.systemd.reload()
        if starts:
            self.listen()
            self.systemd.start(*self.target["units"])
            self.start(self.service, began)
            self.see_that_it_answers_itself()
        self.flip()
        self.enable()
        self.hand_sessions_on()
        self.nginx.remove_default_site()
        self.former.give_way(site)
        self.install()
        self.nginx.test_in_place()
        if starts:
            # Of users who log in meanwhile, too: the next who answers them may be the target.
            self.nginx.bring_up_to_date_everywhere(self.hand_sessions_on)
            self.see_that_it_answers()
            self.try_site_as_user()

    def hand_sessions_on(self):
        """Let the target know who is logged in."""
        self.step = "nginx"
        self.former.hand_sessions_on(self.generation.sessions(), self.params["user"], self.params["group"])

    def see_that_it_answers_itself(self):
        """Ask the target, and not the site, until it has answered."""
        deadline = time.time() + self.params["start_timeout"]
        while self.who_answers(True) != self.target["number"]:
            if time.time() > deadline:
                raise Problem("generation %d did not answer at %s" % (self.target["number"], self.target["address"]))
            time.sleep(SECONDS_BETWEEN_ANSWERS)

    def flush(self):
        """Let everything reach the disk that `current` is to lead to."""
        basedir = self.host.path(self.basedir)
        if self.commands.run("sync", "--file-system", basedir).code != 0:
            self.commands.must("sync")  # That of CentOS 7 knows all file systems only.

    def install(self, is_wanted=lambda name: True):
        for name, path in sorted(filter(lambda item: is_wanted(item[0]), self.target["installed"].items())):
            if not self.put(self.generation, name, path) and name in (SERVICE_FILE, SOCKET_FILE):
                raise Problem("generation %d has no %s" % (self.target["number"], name))

    def put(self, generation, name, path):
        """Install a file of a generation, or remove what is there if it has no such file; tell whether it has."""
        content, path = read(generation.path(name)), self.host.path(path)
        if content is None:
            remove_file(path)
            return False
        mode = stat.S_IMODE(os.stat(generation.path(name)).st_mode)
        if content != read(path) or os.path.islink(path) or mode != stat.S_IMODE(os.stat(path).st_mode):
            write(path, content, mode)
        return True

    def start_units(self, began):
        """Start the target on its socket.

        Where it shares the socket with the generation that serves, nginx has the new site first: that leads from an old
        prefix to the new one, and has the static files of both. With the old site, the new generation would tell users
        to ask for what is not there. Where the socket is new, nobody is to wait there until somebody answers. Nor does
        nginx give up TLS before the generation whose cookies browsers send by TLS only: nobody could log in.
        """
        moving = read(self.generation.path(MOVING_SITE_FILE))
        is_new = self.listen()
        is_nginx_last = is_new or (self.gives_up_tls() and moving is None)
        self.systemd.start(*self.target["units"])
        if not is_nginx_last:
            self.answer_under_both_prefixes(moving)
            self.bring_nginx_up_to_date()
        self.step = "start"
        if self.systemd.state(self.service) == "deactivating":
            self.systemd.stop(self.service)  # Which waits: it cannot start before its last request is finished.
        self.start(self.service, began)
        if is_nginx_last:
            if not is_new:
                self.let_fallback_accept_no_more()
            self.bring_nginx_up_to_date()

    def let_fallback_accept_no_more(self):
        """Let the generation before finish what it has, and wait until the target alone answers at their socket."""
        self.systemd.let_end(self.units.service_of(self.fallback["number"]))
        says, in_a_row = self.generation.says_who_answers(), 0
        for _ in range(ANSWERS):
            in_a_row = in_a_row + 1 if self.who_answers(says) == self.target["number"] else 0
            if in_a_row == ANSWERS_IN_A_ROW or not says:
                return
            time.sleep(0 if in_a_row else SECONDS_BETWEEN_ANSWERS)

    def gives_up_tls(self):
        return place_of(self.fallback["url"])[0].tls and not place_of(self.target["url"])[0].tls

    def answer_under_both_prefixes(self, moving):
        """Have every process of nginx know the new prefix before the first one leads users to it."""
        if self.nginx and moving is not None:
            self.step = "nginx"
            path = self.target["installed"][SITE_FILE]
            write(self.host.path(path), moving)
            self.nginx.bring_up_to_date_everywhere()
            self.put(self.generation, SITE_FILE, path)

    def bring_nginx_up_to_date(self):
        if self.nginx:
            self.step = "nginx"
            self.nginx.bring_up_to_date()

    def listen(self):
        """See that the target's socket listens, and tell whether it did not.

        systemd takes a socket for active whose address some generation has kept for itself. It can be had again only
        when that generation ends, and nobody else can have it until then.
        """
        unit = self.target["socket"]
        is_active = self.systemd.state(unit) == "active"
        holders = self.units.listeners_at(self.target["address"])
        if is_active and any(1 in holder.pids or not holder.pids for holder in holders):
            return False
        # Those of addresses that have this one in them, or that this one has in it.
        sockets = set(self.units.sockets_at(self.target["address"]) + ([unit] if is_active else []))
        services = set(service for holder in holders for service in holder.units if self.units.number_of(service))
        if self.systemd.state(self.service) in RUNNING:
            services.add(self.service)  # systemd opens no socket for a service that runs already.
        # The sockets first, or somebody who knocks there would have systemd start what is to end.
        self.systemd.stop(*sorted(sockets))
        self.systemd.stop(*sorted(services))
        self.systemd.start(unit)
        return True

    def see_that_it_answers(self):
        """Ask the site until the target itself has answered, for a while the generation before it may do so too."""
        self.step = "answer"
        target, number = self.target, self.target["number"]
        place, path = place_of(target["url"])
        path += LOGIN_PAGE
        says = self.generation.says_who_answers()
        deadline = time.time() + self.params["start_timeout"]
        seen = set()
        for _ in range(ANSWERS):
            answer = self.host.get(place, path, target["host"], ANSWER_TIMEOUT)
            who = answer.generation or self.who_answers(says)
            if answer.status == 200 and (who == number or not says and not who):
                self.see_static_file(place, self.static_files(answer.body))
                return
            # Without its number, it may still be of an nginx that is about to read its new site.
            if answer.generation == number:
                raise Problem("the site answers %s for %s%s" % (
                    answer.status, target["url"], LOGIN_PAGE), status=answer.status)
            seen.add("%s of generation %s" % (answer.status or answer.reason, who or "unknown"))
            if time.time() > deadline:
                break
            time.sleep(SECONDS_BETWEEN_ANSWERS)
        raise Problem("generation %d did not answer %s%s; the answers were %s" % (
            number, target["url"], LOGIN_PAGE, ", ".join(sorted(seen))), status=answer.status)

    def who_answers(self, says):
        """Ask OMERO.web itself, for nginx may keep it to itself who answers; 0 if that is not said."""
        if not says:
            return 0
        target = self.target
        place = Place(host_and_port(target["address"]), False)
        answer = self.host.get_once(place, self.path_of_login(), target["host"], ANSWER_TIMEOUT)
        if answer.generation == target["number"] and answer.status != 200:
            raise Problem("generation %d answers %s" % (answer.generation, answer.status), status=answer.status)
        return answer.generation

    def see_static_file(self, place, names):
        if not self.nginx or not names or not self.target["static_url"].startswith("/"):
            return
        path = self.target["static_url"] + names[0]
        for _ in range(STATIC_ANSWERS):
            answer = self.host.get_once(place, path, self.target["host"], ANSWER_TIMEOUT)
            if answer.status == 200:
                return
            time.sleep(SECONDS_BETWEEN_ANSWERS)
        raise Problem("the site answers %s for the static file %s" % (
            answer.status or "nothing (%s)" % answer.reason, path), status=answer.status, missing_static=[names[0]])

    def flip(self):
        """Make the target the live generation, once and for all."""
        point(self.host.path(self.basedir, "current"), "generations/%d" % self.target["number"])

    # -- back

    def undo(self, action):
        """Take a step back, and go on with the next whatever comes of it."""
        try:
            action()
        except Exception as error:
            self.undo_problems.append(in_words(error))

    def take_back(self):
        """Put everything back to where users were served before, in an order in which they still are."""
        if self.former:
            self.undo(lambda: self.former.put_site_back(self.target["installed"][SITE_FILE]))
            self.undo(self.let_nginx_go_back)
        if self.target["number"] in (self.fallback["number"], self.params["seen"]["current"]):
            return  # It is the one that serves: there is no other to put in its place.
        basedir = self.params["basedir"]
        if destination_of(self.host.path(basedir, "current")) != self.current:
            self.undo(lambda: point(self.host.path(basedir, "current"), self.current))
        self.undo(lambda: point(self.host.path(basedir, "previous"), self.previous))
        self.undo(self.put_files_back)
        if self.nginx and not self.fallback["number"]:
            self.undo(self.nginx.put_default_site_back)
        self.undo(self.systemd.reload)
        if self.params["start"]:
            self.undo(self.let_fallback_serve)
            self.undo(self.let_nginx_go_back)
            self.undo(lambda: self.systemd.let_end(self.service))
            self.undo(self.close_socket_of_target)
        if self.former:
            self.undo(lambda: self.systemd.disable(*self.units_of_boot()))
            self.undo(self.former.forget)
        self.undo(self.mark_as_failed)

    def put_files_back(self):
        """Install the fallback's files, and remove those of the target for which it has none.

        The target's service keeps its unit, under which it still finishes requests.
        """
        fallback = Generation(self.host, self.basedir, self.fallback["number"])
        installed = self.fallback["installed"] if self.fallback["number"] else {}
        for name, path in sorted(installed.items()):
            self.undo(lambda name=name, path=path: self.put(fallback, name, path))
        kept = (SERVICE_FILE, SOCKET_FILE) + ((SITE_FILE,) if self.former else ())
        for name, path in sorted(self.target["installed"].items()):
            if path not in installed.values() and name not in kept:
                self.undo(lambda path=path: remove_file(self.host.path(path)))

    def let_fallback_serve(self):
        """See that the fallback runs on its socket, if a step has stopped either."""
        if self.fallback["number"]:
            service = self.units.service_of(self.fallback["number"])
            socket = os.path.basename(self.fallback["installed"].get(SOCKET_FILE, ""))
            if self.systemd.state(service) not in RUNNING:
                if socket != self.target["socket"]:
                    # It may have the address of the fallback's.
                    self.systemd.stop(self.target["socket"], self.service)
                self.systemd.start(*[unit for unit in (socket, service) if unit])

    def let_nginx_go_back(self):
        if self.nginx and self.systemd.state(NGINX_SERVICE) == "active":
            self.systemd.do("reload", NGINX_SERVICE)

    def close_socket_of_target(self):
        """Close the socket that only the target used, and remove its unit if the fallback has none of that name."""
        unit, path = self.target["socket"], self.target["installed"].get(SOCKET_FILE)
        if unit != os.path.basename(self.fallback["installed"].get(SOCKET_FILE, "")):
            self.systemd.stop(unit)
            if path and remove_file(self.host.path(path)):
                self.systemd.reload()
        elif self.systemd.units(unit).get(unit, {}).get("listen") != self.address_of(path):
            # It was opened elsewhere. The fallback has its own address for itself, until the next change.
            self.systemd.stop(unit)

    def address_of(self, path):
        """Return where a socket's unit file says that it listens."""
        found = re.search(br"(?m)^ListenStream=(\S+)", read(self.host.path(path)) or b"")
        return to_native(found.group(1)) if found else ""

    # -- after

    def retire(self):
        """Leave one generation to run and to be started at boot: the one that `current` leads to."""
        self.step = "retire"
        write(self.generation.path(ACTIVATED), as_json({"activated": now(), "by": self.params["by"]}))
        self.generation.forgive()
        services = self.units.services()
        others = sorted(name for name in services if name != self.service)
        sockets = self.units.sockets()
        spare = sorted(name for name in sockets if name != self.target["socket"])
        # The first generations were enabled one by one, so that two of them could start with the host.
        units = dict(services, **sockets)
        enabled = sorted(name for name in units if units[name]["enabled"] == "enabled")
        self.systemd.disable(*enabled)
        if self.params["start"]:
            # The sockets first, or somebody who knocks there would have systemd start what is to end.
            self.systemd.stop(*[name for name in spare if sockets[name]["active"] == "active"])
            self.systemd.let_end(*[name for name in others if services[name]["active"] in RUNNING])
        if not self.enable() and enabled:
            self.systemd.reload()
        if self.former:
            self.former.retire(self.former.known["seconds"] if self.params["start"] else None)

    def units_of_boot(self):
        return ["%s.target" % self.name, "%s-boot.service" % self.name]

    def enable(self):
        """Let the site start at boot; tell whether it did not. The boot unit reads from `current` which generation."""
        top = self.units_of_boot()[0]
        wanted = self.units_of_boot() + ([NGINX_SERVICE] if self.nginx else [])
        units = self.systemd.units(*wanted)
        disabled = [name for name in wanted if units.get(name, {}).get("enabled") == "disabled"]
        self.systemd.enable(*disabled)
        if disabled:
            self.commands.run("sync", "--file-system", self.host.path(UNITS))  # systemctl leaves its links in memory.
        if self.params["start"] and units.get(top, {}).get("enabled") and units[top]["active"] != "active":
            self.systemd.start(top)
        return bool(disabled)

    # -- back to what was there before the role

    def go_back_to_former(self):
        """Let the OMERO.web that was there before the role serve again, and end what the role runs once it does."""
        self.step, self.changed = "former", True
        site, sessions = self.target["installed"].get(SITE_FILE), self.generation.sessions()
        owner = self.params["user"], self.params["group"]
        try:
            self.former.serve_again(self.target["prefix"], self.target["host"], self.params["start_timeout"])
            self.former.put_site_back(site)
            self.nginx.test_in_place()
            self.nginx.bring_up_to_date_everywhere(lambda: self.former.take_sessions_back(sessions, *owner))
        except Exception:
            self.undo(lambda: self.former.give_way(site))
            self.undo(self.install)
            self.undo(self.let_nginx_go_back)
            self.undo(lambda: self.former.retire(self.former.known["seconds"]))
            raise
        self.serving = 0
        self.systemd.disable(*self.units_of_boot())
        point(self.host.path(self.basedir, "current"), None)
        self.systemd.stop(*sorted(self.units.sockets()))
        self.systemd.let_end(*(sorted(self.units.services()) + self.units_of_boot()))
        self.systemd.reload()
        self.former.forget()

# --- the process ------------------------------------------------------------------------------------------------------


def change(params, host, commands, is_wanted=lambda: True):
    """Change a host; return what the module is to say, with `failed` if it went wrong."""
    lock = Lock(host.path("/run/%s.lock" % params["name"]), params["by"])
    transaction = Transaction(params, host, commands)
    try:
        lock.take(params["lock_timeout"], is_wanted)
        stale = transaction.run()
        transaction.tell("done")
        return dict(
            changed=transaction.changed or bool(transaction.removal.removed),
            stale=stale,
            removed=transaction.removal.removed,
            remarks=transaction.remarks + transaction.removal.remarks + transaction.undo_problems,
        )
    except Exception as error:
        return failure(transaction, in_words(error), getattr(error, "details", {}))
    finally:
        lock.free()


def failure(transaction, reason, details):
    outcome = dict({"status": 0, "missing_static": [], "log": []}, **details)
    outcome.update(step=transaction.step, reason=reason, serving=transaction.serving, undo=transaction.undo_problems)
    changed = transaction.changed or bool(transaction.removal.removed)
    sentence = sentence_of(transaction, reason)
    transaction.tell("failed", sentence)
    return dict(failed=True, msg=sentence, changed=changed, outcome=outcome)


def sentence_of(transaction, reason):
    number, step = transaction.target["number"], transaction.step
    if step in ("lock", "tidy", "ports", "remove"):
        # The names of variables begin as they do.
        start = reason if step == "ports" else reason[:1].upper() + reason[1:]
        return start + ("" if reason.endswith(".") else ".")
    what = {
        "make": "could not be made",
        "trial": "does not work and was not put live",
        "user": "was not put live",
        "retire": "is live, but those before it could not be ended",
        "former": "goes on, for the OMERO.web before it could not take over",
    }.get(step, "could not be put live")
    return "Generation %d %s: %s" % (number, what, reason)


def change_as_a_whole(params):
    """Change this host in a process that goes on to its end, or takes all back, whoever started it.

    Return what `change` returned; None if the process was killed.
    """
    def work(is_wanted):
        commands = Commands()
        Systemd(commands).adopt(os.getpid(), "%s-change-%d.scope" % (params["name"], os.getpid()))
        return change(params, Host(), commands, is_wanted)

    return in_a_process_of_its_own(work)
