"""Action: write the report of a fleet, one page for people and the same as JSON beside it, on the controller.

What a host says of itself is data of that host's, whoever has it by now: it is escaped, and where it is not what the
host's command says, that is what is told of the host.
"""

import json
import os
import runpy
import time
from pathlib import Path
from types import SimpleNamespace

from ansible.plugins.action import ActionBase

pages = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_page.py"))))
element, escaped, joined, part = pages.element, pages.escaped, pages.joined, pages.part

# The best first. A host whose state is unknown may be as bad as one that is down.
VERDICTS = ("ok", "attention", "unknown", "down")
COUNTED = {
    "ok": ("is in order", "are in order"),
    "attention": ("needs attention", "need attention"),
    "unknown": ("could not be asked", "could not be asked"),
    "down": ("is down", "are down"),
}
# What stands for a layer that is slower than any answer is waited for, in milliseconds.
SLOWEST = 5000
# What comes of data that is not as it should be.
STRANGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def unknown(what, remedy):
    """Return what is told of a host whose state is not known."""
    return {"verdict": "unknown", "findings": [{"level": "unknown", "what": what, "remedy": remedy}]}


def report_of(states, now):
    """Return the report of a fleet as a page, and as data. states has what is known of each host, by its name."""
    fleet = [_Host(name, state) for name, state in states.items()]
    slowest = min(max([1, *(host.slowest for host in fleet)]), SLOWEST)
    fleet = sorted((host.understood(slowest) for host in fleet), key=lambda host: -VERDICTS.index(host.verdict))
    verdict = fleet[0].verdict if fleet else "unknown"
    says = headline([host.verdict for host in fleet])
    moment = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    columns = ("Host", "State", "Release", "Generation", "Since")
    content = pages.page(
        f"OMERO.web: {says}",
        pages.heading(says, verdict, f"OMERO.web, as of {moment}"),
        element("section", pages.records(columns, [host.row() for host in fleet])),
        *(host.section(slowest) for host in fleet),
    )
    return content, {"time": now, "verdict": verdict, "says": says, "hosts": {host.name: host.state for host in fleet}}


def headline(verdicts):
    """Return what the state of all sites is, in one sentence."""
    counts = [(verdicts.count(verdict), *COUNTED[verdict]) for verdict in reversed(VERDICTS) if verdict in verdicts]
    if not counts:
        return "No site was asked."
    if len(counts) == 1:
        number, one, many = counts[0]
        return f"The site {one}." if number == 1 else f"All {number} sites {many}."
    words = [f"{number} {one if number == 1 else many}" for number, one, many in counts]
    return f"Of {len(verdicts)} sites, {', '.join(words[:-1])} and {words[-1]}."


def write(path, content):
    """Write a file as a whole; where others may write, too, they could have put a link in its place."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with new.open("x", encoding="utf-8") as file:
        file.write(content)
    os.replace(new, path)


def moment_of(text):
    """Return a time as people read it."""
    return str(text).replace("T", " ").replace("+00:00", " UTC")


class _Host:
    """What is told of one host."""

    def __init__(self, name, state):
        self.name, self.state = name, state

    @property
    def verdict(self):
        return self.state["verdict"]

    @property
    def slowest(self):
        """How long its slowest layer took, in milliseconds."""
        try:
            timed = [*self.state.get("layers", ()), *filter(None, [self.state.get("tls")])]
            return max((float(one["milliseconds"]) for one in timed), default=0)
        except STRANGE:
            return 0

    def understood(self, slowest):
        """Return the host, or what is told of it if it does not say what its command does."""
        try:
            VERDICTS.index(self.verdict)
            self.row()
            self.section(slowest)
            return self
        except STRANGE:
            return _Host(self.name, unknown("what it says of its state is not understood", "run site.yml"))

    def row(self):
        state = self.state
        link = element("a", self.name, href=f"#{self.name}")
        since = moment_of(state.get("activated", {}).get("activated", ""))
        return link, pages.mark(self.verdict), state.get("release", ""), state.get("generation") or "", since

    def section(self, slowest):
        title = element("div", element("h2", self.name), pages.mark(self.verdict), class_="title")
        parts = (
            part("What to do", self._findings(), wide=True),
            part("What site.yml would do", self._drift(), wide=True),
            part("How its layers answer", self._layers(slowest)),
            part("Servers", self._servers()),
            part("Memory and disk", self._resources()),
            part("Certificate", self._certificate()),
            part("Newer", self._newer()),
            part("Errors of the last day", self._errors(), wide=True),
        )
        return element("article", title, *self._words(), element("div", *parts, class_="parts"), id=self.name)

    def _words(self):
        state = self.state
        activated = state.get("activated", {})
        if state.get("generation"):
            by = f", by {activated['by']}" if activated.get("by") else ""
            since = f" since {moment_of(activated['activated'])}" if activated.get("activated") else ""
            yield element("p", f"{state['title']} {state['release']} as generation {state['generation']}{since}{by}")
        if state.get("good"):
            yield element("p", f"It can go back to {', '.join(map(str, reversed(state['good'])))}.", class_="quiet")
        if state.get("hold"):
            yield element("p", f"On hold: {state['hold']}")

    def _findings(self):
        return pages.listing([
            joined((pages.mark(one["level"]), " ", one["what"], element("div", "→ ", element("code", one["remedy"]))))
            for one in self.state["findings"]
        ])  # fmt: skip

    def _layers(self, slowest):
        def row(name, one, is_well, remark):
            share, label = float(one["milliseconds"]) / slowest, f"{one['milliseconds']:.0f} ms"
            return name, share, label, "part" if is_well else "down", f"{remark}, {one['where']}"

        rows, tls = [], self.state.get("tls")
        for one in self.state.get("layers", ()):
            way = " by TLS" if one["tls"] else ""
            rows.append(row(one["layer"], one, one["status"] == 200, f"{one['status'] or one['reason']}{way}"))
        if tls:
            rows.append(row("TLS", tls, not tls["reason"], tls["reason"] or tls["version"]))
        return pages.bars(rows)

    def _servers(self):
        servers = [
            f"{one['name']} at {one['server']}, port {one['port']}: "
            + (one["reason"] or f"answers in {one['milliseconds']:.0f} ms")
            for one in self.state.get("servers", ())
        ]
        store = self.state.get("store")
        sessions = [f"Redis of the sessions at {store['where']}: {store['reason'] or 'answers'}"] if store else []
        return pages.listing(servers + sessions)

    def _resources(self):
        memory, free = self.state.get("workers", {}), {}
        words = [f"OMERO.web takes {memory['pss_mb']} MiB in {memory['processes']} processes"] if memory else []
        for disk in self.state.get("disks", ()):
            # What is on the same disk has as much of it.
            free.setdefault(float(disk["free_mb"]), []).append(str(disk["path"]))
        return pages.listing(words + [f"{mib / 1024:.1f} GiB are free in {', '.join(free[mib])}" for mib in free])

    def _certificate(self):
        ends = self.state.get("certificate", {}).get("ends")
        if ends is None:
            return ""
        days = (ends - self.state["time"]) / 86400
        when = time.strftime("%Y-%m-%d", time.gmtime(ends))
        names = self.state["certificate"].get("not_for", [])
        return pages.listing([
            f"It ends on {when}, in {days:.0f} days" if days >= 0 else f"It ended on {when}",
            *([f"It is not for {', '.join(names)}"] if names else []),
        ])  # fmt: skip

    def _newer(self):
        newer = self.state.get("newer")
        if not newer:
            return ""
        if newer["problem"]:
            return element("p", newer["problem"])
        releases = [f"OMERO.web {', '.join(newer['releases'])}"] if newer["releases"] else ["no release of OMERO.web"]
        packages = [f"{one['name']} {one['latest']}; here is {one['version']}" for one in newer["packages"]]
        return pages.listing(releases + packages)

    def _drift(self):
        return pages.listing(self.state["drift"] or ["nothing"]) if "drift" in self.state else ""

    def _errors(self):
        errors = self.state.get("errors", ())
        return pages.listing([f"{one['count']} × {one['source']}: {one['text']}" for one in errors])


class ActionModule(ActionBase):
    """Writes the report of all hosts of the play, those that have dropped out of it included."""

    TRANSFERS_FILES = False
    _VALID_ARGS = frozenset(("path", "register"))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        path, register = Path(self._task.args["path"]).absolute(), self._task.args["register"]
        # The action that registers it never fails, but somebody may end one of its processes.
        missing = unknown("it dropped out of the run", "run status.yml again")
        found = ((name, task_vars["hostvars"][name].get(register, {})) for name in task_vars["ansible_play_hosts_all"])
        page, data = report_of({name: one.get("state", missing) for name, one in found}, int(time.time()))
        as_json = json.dumps(data, indent=4, sort_keys=True) + "\n"
        try:
            for target, content in ((path, page), (path.with_suffix(".json"), as_json)):
                write(target, content)
        except OSError as error:
            return {**result, "failed": True, "msg": f"The report cannot be written to {path}: {error.strerror}."}
        # As ansible.builtin.debug shows what it has to say.
        told = f"{data['says']} The report is {path}."
        return {**result, "changed": False, "msg": told, "_ansible_verbose_always": True}
