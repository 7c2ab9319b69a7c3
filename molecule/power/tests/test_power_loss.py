"""Power is lost in the middle of a change: the host boots with either generation, whole, and the next run finishes.

All that the host writes goes to disks that remember every write (disk.py): one has the files of the system, the other
those of OMERO.web. So each state in which a power cut would have left them can be had, and the host is started with it.
"""

import ctypes
import json
import os
import re
import runpy
import shutil
import subprocess
import tempfile
from collections import namedtuple
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import EVERY_FAULT, INVENTORY, PROJECT, exhaustive, fault, wait_until
from disk import FLUSH, Record, kept

testhosts = SimpleNamespace(**runpy.run_path(str(PROJECT / "molecule/resources/testhosts.py")))
SYSTEM, WEB = "system", "web"
SERVICE = "omero-web.service"
CHANGE = {"omero_web_threads": 2, "omero_web_server_names": ["power.example.org"]}
# What a generation is told after it went live, or instead.
MARKS = {"activated", "failed"}
CLONE_NEWNS = 0x20000

# A change that was recorded: the entries of the log until everything had reached the disks, how many of them there were
# when it began and when its run ended, and the generations before and after.
Change = namedtuple("Change", "name entries earlier ended old new")


class Machine:
    """The host of the scenario, whose disks are taken out and put in."""

    def __init__(self):
        (self.host,) = testhosts.Group(INVENTORY.parent.name).hosts()
        self.web = self.host.root / "opt/omero/web"
        self.system = self.host.directory / SYSTEM
        (options,) = [line.split()[3] for line in self.mounts() if line.split()[1] == str(self.host.root)]
        self.lower = next(option for option in options.split(",") if option.startswith("lowerdir="))

    @staticmethod
    def mounts():
        return Path("/proc/self/mounts").read_text().splitlines()

    def off(self):
        """Cut the power, and take the disks out."""
        self.host.kill()
        for path in self.web, self.host.root, self.system:
            if path.is_mount():
                # Until the last process is gone.
                wait_until(lambda path=path: subprocess.run(["umount", path], capture_output=True).returncode == 0)

    def put_in(self, disks):
        self.system.mkdir(exist_ok=True)
        self.mount("-o", "loop", disks[SYSTEM], self.system)
        layers = f"{self.lower},upperdir={self.system}/upper,workdir={self.system}/work"
        self.mount("-t", "overlay", "-o", layers, "overlay", self.host.root)
        self.mount("-o", "loop", disks[WEB], self.web)

    def boot(self):
        self.host.boot()
        self.host.wait()

    def sync(self):
        """Let everything that was written reach the disks."""
        subprocess.run(["sync", "--file-system", self.system, self.web], check=True)

    @staticmethod
    def mount(*words):
        subprocess.run(["mount", *words], check=True)

    def move(self, record):
        """Have the files of the host on disks of their own, as they are before the first entry of a record."""
        self.host.kill()
        shutil.rmtree(self.host.upper / testhosts.ARCHIVES, ignore_errors=True)
        for name in SYSTEM, WEB:
            image = record.first(name)
            with image.open("w") as file:
                file.truncate(3 * 1024**3)
            subprocess.run(["mkfs.ext4", "-q", image], check=True)
            with self.mounted(image) as directory:
                if name == WEB:
                    subprocess.run(["cp", "--archive", f"{self.web}/.", directory], check=True)
                else:
                    (directory / "work").mkdir()
                    subprocess.run(["cp", "--archive", self.host.upper, directory], check=True)
        self.off()

    @contextmanager
    def mounted(self, image):
        directory = self.host.directory / "image"
        directory.mkdir(exist_ok=True)
        self.mount("-o", "loop", image, directory)
        try:
            yield directory
        finally:
            subprocess.run(["umount", directory], check=True)


@pytest.fixture(scope="module")
def machine():
    # No other host sees these mounts: one that is started meanwhile would hold on to them.
    assert ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    machine = Machine()
    yield machine
    machine.off()


@pytest.fixture(scope="module")
def record():
    directory = INVENTORY.parent / "disks"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    yield Record(directory, [SYSTEM, WEB])
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def number_of(machine):
    """Tell which generation `current` leads to, on the disks that are in."""
    return lambda: int(os.readlink(machine.web / "current").rpartition("/")[2])


@pytest.fixture(scope="module")
def upgrade(variables):
    """The same packages in other words: a release that has to be built."""
    return {**CHANGE, "omero_web_packages": [*variables["omero_web_packages"], "sqlparse>0.0.1"]}


@pytest.fixture(scope="module")
def changes(machine, record, play, number_of, upgrade):
    """Changes of the host, by name, and whatever reached its disks meanwhile."""
    machine.move(record)
    recorded = {}
    with record.running() as disks:
        machine.put_in(disks)
        machine.boot()

        def change(name, playbook="playbooks/site.yml", **variables):
            machine.sync()
            earlier, old = len([*record.entries()]), number_of()
            code, output = play(playbook, **variables)
            assert code == 0, output
            ended = len([*record.entries()])
            machine.sync()
            recorded[name] = Change(name, [*record.entries()], earlier, ended, old, number_of())
            assert recorded[name].new != old

        change("a changed setting", **CHANGE)
        if EVERY_FAULT:
            change("going back", "playbooks/rollback.yml")
            change("an upgrade", **upgrade)
        machine.off()
    return recorded


@pytest.fixture(scope="module")
def after(machine, record):
    """Have the host, off, with its disks as a power cut left them after so many entries of a log."""

    @contextmanager
    def after(change, count, is_lossy):
        entries = change.entries[:count]
        # In memory, or this machine's own disk would get a copy for each.
        with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
            record.restore(kept(entries, count) if is_lossy else entries, Path(directory))
            machine.put_in({name: Path(directory, name) for name in record.names})
            try:
                yield
            finally:
                machine.off()

    return after


@pytest.fixture(scope="module")
def flip(changes, after, number_of):
    """Tell after how many entries a change has put the new generation live."""

    @cache
    def flip(name):
        change = changes[name]
        low, high = change.earlier, len(change.entries)
        while low < high:
            middle = (low + high) // 2
            with after(change, middle, False):
                low, high = (low, middle) if number_of() == change.new else (middle + 1, high)
        return low

    return flip


def contents_of(directory):
    """All that is in a directory: its modes, its links, and what its files have, or, where those are too many to read,
    their sizes."""
    is_release = directory.parent.name == "releases"
    command = ["find", directory, "-printf", "%m %s %p %l\n" if is_release else "%m %y %p %l\n"]
    found = set(subprocess.run(command, text=True, check=True, capture_output=True).stdout.splitlines())
    if is_release:
        return found
    files = [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]
    found.update(f"{path} {sha256(path.read_bytes()).hexdigest()}" for path in files)
    # A mark may be there in part, under another name.
    marks = re.compile(rf"{re.escape(str(directory))}/\.?({'|'.join(MARKS)})[. ]")
    return {line for line in found if not marks.search(line)}


def directories_of(machine, change):
    """The generations of a change, and their releases."""
    generations = [machine.web / f"generations/{number}" for number in (change.old, change.new)]
    return {*generations, *(directory / os.readlink(directory / "release") for directory in generations)}


def complete_ones(directories):
    """What is in these directories, of those that say that they are complete."""
    return {directory: contents_of(directory) for directory in directories if (directory / "manifest").exists()}


def files_of(machine, number):
    """The files of a generation that are installed elsewhere, and what is there, by name."""
    directory = machine.web / f"generations/{number}"
    paths = json.loads((directory / "manifest").read_text())["installed"]
    own = {name: (directory / name).read_bytes() for name in paths}
    return own, {name: (machine.host.root / path[1:]).read_bytes() for name, path in paths.items()}


def instants(change, at_flip):
    """After how many entries, and whether the disks have caches of their own, which keep but a part of what was not
    flushed: each around the flip, either way, and so the end of the run; of the others some that were flushed."""
    flushes = [count for count in range(change.earlier, change.ended) if change.entries[count - 1].kind == FLUSH]
    near, others = (4, 14) if EVERY_FAULT else (2, 6)
    either_way = {*range(at_flip - near, at_flip + near), change.ended}
    counts = {*flushes[:: len(flushes) // others + 1], *either_way}
    ways = {count: (False, True) if count in either_way else (True,) for count in counts}
    return [(count, is_lossy) for count in sorted(counts) for is_lossy in ways[count]]


POWER = "the power fails during a run", "the site is back with the host", "the next run finishes the job"
CHANGES = ["a changed setting", *(pytest.param(name, marks=exhaustive) for name in ("going back", "an upgrade"))]


@fault(*POWER)
@pytest.mark.parametrize("name", CHANGES)
def test_what_counts_is_whole(machine, changes, after, flip, number_of, name):
    change = changes[name]
    both = change.old, change.new
    with after(change, len(change.entries), False):
        whole = complete_ones(directories_of(machine, change))
        files = {number: files_of(machine, number)[0] for number in both}
    tried, seen = instants(change, flip(name)), set()
    for instant in tried:
        with after(change, *instant):
            live = number_of()
            assert live in both, instant
            assert live == change.new or instant[0] < change.ended, instant
            found = complete_ones(whole)
            generation = machine.web / f"generations/{live}"
            assert {generation, generation / os.readlink(generation / "release")} <= found.keys(), instant
            for directory, contents in found.items():
                assert not contents ^ whole[directory], instant
            for file, content in files_of(machine, live)[1].items():
                # Until the flip, nginx may have the site of the next one.
                assert content in [files[number][file] for number in both if file != SERVICE or number == live], instant
            seen.add(live)
    print(f"{name}: {len(tried)} instants of {len(change.entries) - change.earlier} writes and flushes")
    assert seen == {*both}


@fault(*POWER)
@pytest.mark.parametrize(
    "name, moment",
    [
        ("a changed setting", "before"),
        ("a changed setting", "after"),
        pytest.param("going back", "before", marks=exhaustive),
        pytest.param("going back", "after", marks=exhaustive),
        pytest.param("an upgrade", "before", marks=exhaustive),
        pytest.param("an upgrade", "after", marks=exhaustive),
        # While the release is built, and soon after.
        pytest.param("an upgrade", 1 / 3, marks=exhaustive),
        pytest.param("an upgrade", 2 / 3, marks=exhaustive),
    ],
)
def test_the_host_boots_and_the_next_run_finishes(
    changes, machine, after, flip, host, play, live, login, upgrade, name, moment
):
    change, wanted = changes[name], upgrade if name == "an upgrade" else CHANGE
    at_flip = flip(name) if isinstance(moment, str) else 0
    count = {"before": at_flip - 1, "after": at_flip}.get(moment)
    with after(change, count or round(change.earlier + moment * (change.ended - change.earlier)), True):
        machine.boot()
        wait_until(lambda: login().status == 200)
        assert live() in (change.old, change.new)
        running = host.check_output("systemctl list-units --plain --no-legend --state=active 'omero-web@*'")
        assert [line.split()[0] for line in running.splitlines()] == [f"omero-web@{live()}.service"]
        code, output = play(**wanted)
        assert code == 0, output
        assert host.check_output("omero config get omero.web.wsgi_threads") == "2"
        assert login().status == 200
        code, output = play(**wanted)
        assert "changed=0" in output, output
