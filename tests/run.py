#!/usr/bin/env python3
"""Run Molecule scenarios, some at a time: a line for each step as it ends, and at the end what a person looks for.

    tests/run.py [--jobs N] [--show steps|tests|all] [--also REPORT.xml] SCENARIO...

Everything that a scenario prints is in .molecule/reports/SCENARIO.log, the results of its tests beside it. A scenario
whose hosts start from those of another one waits until these are kept. The last line is pytest's, for all tests
together, those of the --also reports included. The exit code is 1 if anything failed. A scenario of a distribution that
moves is skipped where the mirror lacks it.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from pathlib import Path
from xml.etree import ElementTree

import yaml

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / ".molecule/reports"
SECONDS = REPORTS / "seconds.json"
# What each took on two cores, for an order where none has been run.
USUAL_SECONDS = ROOT / "tests/seconds.json"
TESTHOSTS = [sys.executable, ROOT / "molecule/resources/testhosts.py"]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "omero-web"
HOSTS, WHEELS = CACHE / "hosts", Path.home() / ".cache/omero-web/wheels"
# Most of what a scenario does is waiting for one of its processes: one more than there are cores keeps these busy.
JOBS = min(3, (os.cpu_count() or 1) + 1)
PROGRESS_SECONDS = 60
LAST_LINES = 40
GRACE_SECONDS = 10

COLOUR = re.compile(r"\x1b\[[0-9;]*m")
STEP = re.compile(r"\S+ +(\S+) ➜ (\w+): (Executing|Executed: .*)$")
TEST = re.compile(r"(\S+::.+?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS|RERUN)\b")
ORIGIN = re.compile(r"(\S+ starts from [\w.-]+|\S+ is (?:kept as [\w.-]+|not kept: .+?))['\"]?$")
LEFT_OUT = re.compile(r"collected \d+ items .* (\d+) deselected")
OUTCOMES = ("failed", "passed", "skipped", "error")

start = time.monotonic()
printing = threading.Lock()


def say(name, text):
    with printing:
        print(f"{time.strftime('%H:%M:%S')}  {name:<11} {text}", flush=True)


class Report:
    """What pytest's own report says of a run."""

    def __init__(self, path):
        self.outcomes, self.tests, self.failures = Counter(), [], []
        if path.is_file():
            cases = ElementTree.parse(path).iter("testcase")
            # One that was tried again is there twice.
            for case in {(case.get("classname"), case.get("name")): case for case in cases}.values():
                self.read(case)

    def read(self, case):
        if not case.get("name"):
            return  # It was interrupted.
        name = f"{case.get('classname').rpartition('.')[2]}.py::{case.get('name')}"
        self.tests.append((float(case.get("time")), name))
        outcomes = {"failure": "failed", "error": "error", "skipped": "skipped"}
        found = [(outcomes[part.tag], part) for part in case if part.tag in outcomes]
        for outcome, part in found:
            if outcome != "skipped":
                self.failures.append((name, (part.text or part.get("message") or "").splitlines()[-LAST_LINES:]))
        # A test that passes and whose fixture fails in the end is both, and pytest counts it as both.
        self.outcomes.update([outcome for outcome, _ in found] if found else ["passed"])


class Scenario(threading.Thread):
    """One scenario: its process, and what is known of it."""

    def __init__(self, name, show):
        super().__init__(daemon=True)
        self.title, self.show = name, show
        self.log, self.report_path = REPORTS / f"{name}.log", REPORTS / f"{name}.xml"
        description = yaml.safe_load((ROOT / f"molecule/{name}/molecule.yml").read_text())
        self.suites = {platform["suite"] for platform in description["platforms"]}
        self.moving = [platform["suite"] for platform in description["platforms"] if platform.get("moving")]
        self.origins = {platform["from"] for platform in description["platforms"] if "from" in platform}
        self.keeps = "side_effect" in description.get("provisioner", {}).get("playbooks", {})
        # What has ended: (step, seconds, whether it succeeded).
        self.steps, self.notes = [], []
        self.step, self.step_start, self.seen = None, time.monotonic(), Counter()
        self.last_lines, self.last_words = deque(maxlen=LAST_LINES), []
        # Until the end is reached, whatever becomes of this program's own code, it has not passed.
        self.process, self.seconds, self.report = None, 0, Report(Path())
        self.problem, self.is_at_its_end = None, False

    def run(self):
        """The whole sequence. A step that fails is followed by destroy, so its last lines are taken when it ends."""
        begin = time.monotonic()
        self.report_path.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "MOLECULE_EPHEMERAL_DIRECTORY": str(ROOT / ".molecule" / self.title),
            "MOLECULE_COMMAND_BORDERS": "false",
            "PYTEST_ADDOPTS": f"-v --durations=10 --rerun-show-tracebacks --junit-xml={self.report_path}",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "160",
        }
        command = ["molecule", "test", "--scenario-name", self.title]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, text=True, errors="replace", start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                self.read(COLOUR.sub("", line).rstrip())
                if self.show == "all":
                    with printing:
                        print(line, end="", flush=True)
            code = self.process.wait()
            if code != 0:
                if self.step:
                    self.end_step(f"ended by signal {-code}" if code < 0 else f"ended with exit code {code}")
                if not self.problem:
                    self.problem, self.last_words = f"ended with exit code {code}", [*self.last_lines]
                # It did so itself unless it was killed.
                subprocess.run(["molecule", "destroy", "--scenario-name", self.title],
                               cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # fmt: skip
        self.report = Report(self.report_path)
        if not self.report.tests and not self.problem:
            self.problem = "ran no tests"
        self.seconds, self.is_at_its_end = time.monotonic() - begin, True
        say(self.title, f"{'FAILED' if self.problem else 'done'} after {self.seconds:.0f} s{self.counts()}")

    def read(self, line):
        if found := STEP.search(line):
            _, step, outcome = found.groups()
            if outcome == "Executing":
                self.step, self.step_start = step, time.monotonic()
            elif self.step == step:
                self.end_step(None if "Successful" in outcome else outcome)
            return
        self.last_lines.append(line)
        if found := ORIGIN.search(line):
            self.notes.append(found[1])
        if found := LEFT_OUT.search(line):
            self.notes.append(f"{found[1]} tests have passed before and are left out")
        if found := TEST.search(line):
            (path, _, test), outcome = found[1].partition("::"), found[2]
            name = f"{Path(path).name}::{test}"
            self.seen[outcome.lower()] += 1
            if outcome == "RERUN":
                self.notes.append(f"tried again: {name}")
            if outcome in ("FAILED", "ERROR", "RERUN") or self.show == "tests":
                say(self.title, f"{outcome} {name}")

    def end_step(self, outcome):
        seconds = time.monotonic() - self.step_start
        # No word on steps for which the scenario has nothing to do.
        if outcome is None or "Failed" in outcome or "ended" in outcome:
            self.steps.append((self.step, seconds))
            if outcome:
                self.problem = self.problem or f"{outcome.removeprefix('Executed: ').lower()} in {self.step}"
                self.last_words = [*self.last_lines]
            say(self.title, f"{self.step:<12} {'FAILED, ' if outcome else ''}{seconds:.0f} s{self.counts()}")
        self.last_lines.clear()
        self.step = None

    @property
    def verdict(self):
        """What is wrong with it, or None."""
        return self.problem or (None if self.is_at_its_end else "did not get to its end")

    def counts(self):
        counts = ", ".join(f"{self.seen[outcome]} {outcome}" for outcome in OUTCOMES if self.seen[outcome])
        return f": {counts}" if counts and self.step in ("verify", None) else ""

    def tell_progress(self):
        if (step := self.step) and time.monotonic() - self.step_start > PROGRESS_SECONDS:
            say(self.title, f"{step}, for {time.monotonic() - self.step_start:.0f} s{self.counts()}")

    def has(self, step):
        """Whether a step is over, however it ended."""
        return not self.is_alive() or step in [name for name, _ in self.steps]


def why_not(suites):
    """Say why there are no hosts of these suites, if there are none."""
    done = subprocess.run([*TESTHOSTS, "offered", *suites], text=True, capture_output=True) if suites else None
    return done.stderr.strip() if done and done.returncode != 0 else ""


class Run:
    """All scenarios, in an order in which the last one ends as early as possible."""

    def __init__(self, names, jobs, show):
        known = json.loads(SECONDS.read_text()) if SECONDS.exists() else {}
        self.jobs, self.seconds = jobs, known
        every = [Scenario(name, show) for name in names]
        self.skipped = {one.title: reason for one in every if (reason := why_not(one.moving))}
        scenarios = [one for one in every if one.title not in self.skipped]
        makers = {origin for scenario in scenarios for origin in scenario.origins}
        usual = {**json.loads(USUAL_SECONDS.read_text()), **known}
        # What is not known takes long, and longer on more platforms.
        seconds = {one.title: usual.get(one.title, 10**6 * len(one.suites)) for one in scenarios}
        self.waiting = sorted(scenarios, key=lambda one: (one.title not in makers, -seconds[one.title]))
        self.started = []
        suites = {suite for scenario in scenarios for suite in scenario.suites}
        cached = {path.name.partition("-")[0] for path in HOSTS.glob("base/*") if path.suffix != ".unfinished"}
        self.lacking = suites - cached
        # Two scenarios at once would both compile IcePy for a platform that this machine has not seen, and both fetch
        # the same packages.
        unknown = (scenario for scenario in scenarios if scenario.title not in known)
        self.new_suites = self.lacking.union(*(scenario.suites for scenario in unknown))

    def is_ready(self, scenario):
        for other in self.started:
            if other.title in scenario.origins and not other.has("side_effect"):
                return False
            if other.suites & scenario.suites & self.new_suites and not other.has("converge"):
                return False
        return not any(other.title in scenario.origins for other in self.waiting)

    def start_what_can(self):
        while sum(scenario.is_alive() for scenario in self.started) < self.jobs:
            ready = [scenario for scenario in self.waiting if self.is_ready(scenario)]
            if not ready:
                break
            self.waiting.remove(ready[0])
            self.started.append(ready[0])
            ready[0].start()

    def to_the_end(self):
        for title, reason in self.skipped.items():
            say(title, f"skipped: {reason}")
        if self.lacking:
            # Beside the first scenarios, which wait for theirs; the others find them.
            say("", f"making the trees of {', '.join(sorted(self.lacking))}, which this machine lacks")
            for suite in sorted(self.lacking):
                subprocess.Popen([*TESTHOSTS, "tree", suite], stdout=subprocess.DEVNULL)
        told = time.monotonic()
        while self.waiting or any(scenario.is_alive() for scenario in self.started):
            self.start_what_can()
            # Scenarios tell by themselves what becomes of them; here is only looked for a place for the next one.
            time.sleep(0.5)
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                for scenario in self.started:
                    if scenario.is_alive():
                        scenario.tell_progress()
        self.seconds.update({one.title: round(one.seconds) for one in self.started if not one.verdict})
        SECONDS.write_text(json.dumps(self.seconds, indent=2, sort_keys=True))

    def stop(self):
        """End what runs, which then removes its hosts."""
        running = [scenario for scenario in self.started if scenario.is_alive()]
        for sent in (signal.SIGINT, signal.SIGKILL):
            for scenario in running:
                if scenario.process and scenario.process.poll() is None:
                    os.killpg(scenario.process.pid, sent)
            deadline = time.monotonic() + GRACE_SECONDS
            while time.monotonic() < deadline and any(one.process and one.process.poll() is None for one in running):
                # Whichever of them ends next.
                time.sleep(0.1)
        for scenario in running:
            scenario.join()


def heading(text, fill="-"):
    return f" {text} ".center(80, fill)


def cached():
    """What this machine need not fetch or make again."""
    packages = [path for path in HOSTS.glob("packages/*/*.deb")]
    names = {
        "trees": sorted(path.name for path in HOSTS.glob("base/*") if path.suffix != ".unfinished"),
        "kept hosts": sorted(path.name for path in HOSTS.glob("kept/*") if path.suffix != ".unfinished"),
        "IcePy wheels": sorted(f"{path.parent.name}/{path.name.split('-')[2]}" for path in WHEELS.glob("*/*.whl")),
    }
    lines = [f"{what}: {', '.join(found) or 'none'}" for what, found in names.items()]
    size = sum(path.stat().st_size for path in packages) / 1e6
    return [*lines, f"Debian packages: {len(packages)}, {size:.0f} MB"]


def summary(scenarios, not_run, skipped, also, cached_before):
    """All that a person looks for, the worst at the very end; the exit code."""
    print(heading("seconds"))
    for scenario in scenarios:
        steps = ", ".join(f"{step} {seconds:.0f}" for step, seconds in scenario.steps)
        print(f"{scenario.title:<11} {scenario.seconds:6.0f}  {steps}")
        for note in scenario.notes:
            print(f"{'':<20}{note}")
    print(heading("slowest tests"))
    tests = [(*test, scenario.title) for scenario in scenarios for test in scenario.report.tests]
    for seconds, name, title in sorted(tests, reverse=True)[:10]:
        print(f"{seconds:7.1f} s  {title:<11} {name}")
    print(heading("cached before"), *cached_before, sep="\n")

    outcomes = sum((report.outcomes for report in [*also, *(one.report for one in scenarios)]), Counter())
    outcomes["skipped"] += len(skipped)
    failed = [scenario for scenario in scenarios if scenario.verdict]
    for scenario in failed:
        print(heading(f"{scenario.title} {scenario.verdict}", "="))
        for name, lines in scenario.report.failures:
            print(heading(name), *lines, sep="\n")
        if not scenario.report.failures:
            # It is not among what pytest counts.
            outcomes["error"] += 1
            print(*scenario.last_words, sep="\n")
        print(f"All that it printed is in {scenario.log.relative_to(ROOT)}.")
    if failed or not_run:
        print(heading("what failed", "="))
        for scenario in failed:
            print(f"FAILED {scenario.title}: {scenario.verdict}")
            for name, _ in scenario.report.failures:
                print(f"FAILED {scenario.title}: {name}")
        for scenario in not_run:
            print(f"NOT RUN {scenario.title}")
    seconds = time.monotonic() - start
    counts = ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in OUTCOMES if outcomes[outcome]) or "no tests ran"
    if outcomes["error"] > 1:
        counts = counts.replace("error", "errors")
    print(heading(f"{counts} in {seconds:.2f}s ({time.strftime('%-H:%M:%S', time.gmtime(seconds))})", "="))
    return 1 if failed or not_run or outcomes["failed"] or outcomes["error"] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="+", metavar="SCENARIO")
    parser.add_argument("--jobs", type=int, default=JOBS, help="how many scenarios at a time (%(default)s)")
    parser.add_argument("--show", choices=("steps", "tests", "all"), default="steps", help="what is printed meanwhile")
    parser.add_argument("--also", type=Path, action="append", default=[], help="a report to add to the last line")
    arguments = parser.parse_args()
    REPORTS.mkdir(parents=True, exist_ok=True)
    cached_before = cached()
    machine = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    say("", f"{len(arguments.scenarios)} scenarios, {arguments.jobs} at a time, on {machine}")
    run = Run(arguments.scenarios, arguments.jobs, arguments.show)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    interrupted = False
    try:
        run.to_the_end()
    except KeyboardInterrupt:
        interrupted = True
        say("", "interrupted: ending what runs and removing its hosts")
        run.stop()
    code = summary(run.started, run.waiting, run.skipped, [Report(path) for path in arguments.also], cached_before)
    sys.exit(130 if interrupted else code)


if __name__ == "__main__":
    main()
