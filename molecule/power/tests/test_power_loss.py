"""Power is lost in the middle of a change: the host boots with either generation, whole, and the next run finishes.

All that the host writes goes to disks that remember every write (disk.py): one has the files of the system, the other
those of OMERO.web. So each state in which a power cut would have left them can be had, and the host is started with it.
"""

import json
import os
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

# A change that was recorded: the entries of the log that it made, the generations before and after.
Change = namedtuple("Change", "name entries earlier old new")


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
                file.truncate(2 * 1024**3)
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
def changes(machine, record, play, number_of):
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
            machine.sync()
            recorded[name] = Change(name, [*record.entries()], earlier, old, number_of())
            assert recorded[name].new != old

        change("a changed setting", **CHANGE)
        if EVERY_FAULT:
            change("going back", "playbooks/rollback.yml")
        machine.off()
    return recorded


@pytest.fixture(scope="module")
def after(machine, record):
    """Have the host, off, with its disks as a power cut left them after so many entries of a log."""

    @contextmanager
    def after(change, count, is_lossy):
        entries = change.entries[:count]
        # In memory, or this machine's own disk would get a copy for each; and each in a file of its own, for hosts that
        # were started meanwhile hold on to what was mounted then, and another mount of that file would be the same.
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


def paths_below(directory):
    return [Path(top, name) for top, directories, files in os.walk(directory) for name in directories + files]


def content_of(path):
    """A file or a link; nothing of anything else."""
    if path.is_symlink():
        return os.readlink(path)
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def generation_of(machine, number):
    """All that a generation is, by path, and its release, whose files are too many to read."""
    directory = machine.web / f"generations/{number}"
    generation, release = paths_below(directory), paths_below(directory / "release/")
    return {
        **{path: (path.lstat().st_mode, content_of(path)) for path in generation if path.name not in MARKS},
        **{path: (path.lstat().st_mode, path.lstat().st_size) for path in release},
    }


def files_of(machine, number):
    """The files of a generation that are installed elsewhere, and what is there, by name."""
    directory = machine.web / f"generations/{number}"
    paths = json.loads((directory / "manifest").read_text())["installed"]
    own = {name: (directory / name).read_bytes() for name in paths}
    return own, {name: (machine.host.root / path[1:]).read_bytes() for name, path in paths.items()}


def instants(change, at_flip):
    """After how many entries: each around the flip, of the others some that were flushed; all that was written is on
    the disks, or what disks with caches of their own have kept of it."""
    flushes = [count for count in range(change.earlier, len(change.entries)) if change.entries[count - 1].kind == FLUSH]
    near, step = (20, 1) if EVERY_FAULT else (2, len(flushes) // 6 + 1)
    counts = {*range(at_flip - near, at_flip + near), *flushes[::step], len(change.entries)}
    return [(count, is_lossy) for count in sorted(counts) for is_lossy in (False, True)]


POWER = "the power fails during a run", "the site is back with the host", "the next run finishes the job"
CHANGES = ["a changed setting", pytest.param("going back", marks=exhaustive)]


@fault(*POWER)
@pytest.mark.parametrize("name", CHANGES)
def test_what_is_live_is_whole(machine, changes, after, flip, number_of, name):
    change = changes[name]
    both = change.old, change.new
    with after(change, len(change.entries), False):
        whole = {number: generation_of(machine, number) for number in both}
        files = {number: files_of(machine, number)[0] for number in both}
    tried, seen = instants(change, flip(name)), set()
    for instant in tried:
        with after(change, *instant):
            live = number_of()
            assert live in both, instant
            assert generation_of(machine, live) == whole[live], instant
            for file, content in files_of(machine, live)[1].items():
                # Until the flip, nginx may have the site of the next one.
                assert content in [files[number][file] for number in both if file != SERVICE or number == live], instant
            seen.add(live)
    print(f"{name}: {len(tried)} instants of {len(change.entries) - change.earlier} writes and flushes")
    assert seen == {*both}


@fault(*POWER)
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize(
    "moment", ["before", "after", *(pytest.param(part / 8, marks=exhaustive) for part in range(1, 8))]
)
def test_the_host_boots_and_the_next_run_finishes(changes, machine, after, flip, host, play, live, login, name, moment):
    change = changes[name]
    at_flip = flip(name) if isinstance(moment, str) else 0
    count = {"before": at_flip - 1, "after": at_flip}.get(moment)
    with after(change, count or round(change.earlier + moment * (len(change.entries) - change.earlier)), True):
        machine.boot()
        wait_until(lambda: login().status == 200)
        assert live() in (change.old, change.new)
        running = host.check_output("systemctl list-units --plain --no-legend --state=active 'omero-web@*'")
        assert [line.split()[0] for line in running.splitlines()] == [f"omero-web@{live()}.service"]
        code, output = play(**CHANGE)
        assert code == 0, output
        assert host.check_output("omero config get omero.web.wsgi_threads") == "2"
        assert login().status == 200
        code, output = play(**CHANGE)
        assert "changed=0" in output, output
