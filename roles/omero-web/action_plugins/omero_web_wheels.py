"""Action: keep the wheels of releases on the controller, from where all hosts of a platform get the same ones.

The wheels of a release are one tar: `wheels.txt` has their versions and checksums, in pip's own format, `pip.txt`
those of a pip that comes before them, and `lock.txt` what was downloaded, from which a lock file is written. Everything
down to `class ActionModule` knows neither Ansible nor hosts.
"""

import hashlib
import json
import os
import re
import runpy
import tarfile
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

from ansible.errors import AnsibleError

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))

# How many tars are kept for a platform: those that were used last. One has some 50 MB.
KEPT = 10
SECONDS_OF_A_DAY = 86400
# What a line of the lists is, and of a lock file.
LINE = re.compile(r"([A-Za-z0-9][\w.-]*)==([\w.!+-]+)((?: --hash=sha256:[0-9a-f]{64})+)")
LISTS = ("wheels.txt", "lock.txt")
LIST_OF_PIP = "pip.txt"
MEMBER = re.compile(r"(wheels|pip)/[\w.!+-]+\.whl")
LONGEST_LIST = 1 << 20
HEADER = """\
# The packages of OMERO.web, which the role omero-web installs exactly so. Remove this file to have them chosen anew.
# IcePy is not among them, for the role compiles it itself.
"""
MADE_FOR = "# made for "
# What pip finds on an index by its name, so that its checksum can be compared another time.
ON_INDEX = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w., -]*\])?\s*([<>=!~][^@/]*)?(;.*)?")


class Problem(Exception):
    """What is wrong, in one sentence with the remedy."""


# --- which wheels -----------------------------------------------------------------------------------------------------


def are_shared(packages, pip_sources):
    """Tell whether all hosts can have the same wheels; an editable package is a directory of one host."""
    return not any(re.match(r"\s*(-e|--editable)", one) for one in [*packages, *pip_sources])


def chosen_by(definition, shipping, platform, release):
    """Return what the choice of packages follows from: that part of the definition of a release, and the platform."""
    names = ("recipe", "release", "packages", "ice_wheel", "checksum", "constraints")
    return {
        **{name: definition[name] for name in names if name in definition},
        "pip": shipping["pip"],
        "requirements": shipping["requirements"],
        "platform": platform,
        # As in the names of wheels, also where the interpreter has yet to be installed.
        "python": release["tag"] or f"cp{release['python'].replace('.', '')}",
    }


def file_name(chosen, lock):
    """Return the name of the tar: another choice or another lock is another one."""
    digest = hashlib.sha256(json.dumps([chosen, lock], sort_keys=True).encode()).hexdigest()
    return f"omero-web-{chosen['release']}-{chosen['python']}-{digest[:8]}.tar"


def wheels_of(site, chosen, lock, directory):
    """Return what is known of the wheels of a release; `lock` has the lines of a lock file, None without one."""
    lock_file = site["variables"]["omero_web_lock_file"]
    digest = digest_of_lock(lock) if lock else ""
    name = file_name(chosen, digest)
    return {
        "are_shared": are_shared(site["packages"], site["pip_sources"]),
        "chosen_by": chosen,
        "lock": lock or [],
        "lock_file": str(Path(lock_file).expanduser()) if lock_file else "",
        "writes_lock": lock == [],
        # No release is of a lock file that is not written yet.
        "definition": {} if lock is None else {"lock": digest or "to be written"},
        "name": name,
        "path": str(Path(directory) / name),
    }


# --- lock files -------------------------------------------------------------------------------------------------------


def made_for(chosen):
    return {name: chosen[name] for name in ("release", "platform", "python", "packages")}


def digest_of_lock(lines):
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def lock_text(chosen, lines):
    header = f"{HEADER}{MADE_FOR}{json.dumps(made_for(chosen), sort_keys=True)}"
    return "".join(f"{line}\n" for line in [header, *lines])


def lock_in(path, chosen):
    """Return the lines of a lock file, none where there is no file yet."""
    if not path.exists():
        return []
    try:
        return lines_of_lock(path, path.read_text(), chosen)
    except (OSError, UnicodeDecodeError):
        raise Problem(f"omero_web_lock_file is {path}, which cannot be read; name a file of text.") from None


def lines_of_lock(path, text, chosen):
    """Return the lines of a lock file that fits a release and its platform."""
    name = f"omero_web_lock_file is {path}"
    comments, others = [], []
    for line in text.replace("\\\n", " ").splitlines():
        (comments if line.startswith("#") else others).append(" ".join(line.split()))
    lines = [line for line in others if line]
    wrong = next((line for line in lines if not LINE.fullmatch(line)), None)
    if wrong is not None:
        raise Problem(
            f"{name}, which has the line {json.dumps(wrong[:80])}; each line is name==version --hash=sha256:digits."
        )
    found = next((line[len(MADE_FOR) :] for line in comments if line.startswith(MADE_FOR)), "null")
    with suppress(ValueError):
        found = json.loads(found)
    if not isinstance(found, dict) or not lines:
        raise Problem(f"{name}, which does not say what it was made for; remove it, and the run writes one.")
    differing = [key for key, value in made_for(chosen).items() if found.get(key) != value]
    if differing:
        differences = "; ".join(
            f"its {key} {'are' if key == 'packages' else 'is'} {shown(found.get(key))}, and here {shown(chosen[key])}"
            for key in differing
        )
        remedy = "name another file, or remove it to have one written"
        raise Problem(f"{name}, which does not fit ({differences}); {remedy}.")
    return lines


def shown(value):
    return (", ".join(map(str, value)) or "none") if isinstance(value, list) else str(value)


def not_on_index(packages):
    """Return the packages that have no checksum to be found by again: of a repository, a directory or an address."""
    return [package for package in packages if not ON_INDEX.fullmatch(package.strip())]


# --- tars -------------------------------------------------------------------------------------------------------------


def lists_in(path):
    """Return the lists of a tar, all of whose wheels are those that it lists and nothing else; or say what is wrong."""
    try:
        with tarfile.open(path, "r:") as archive:
            return _lists_in(archive)
    except (tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise Problem(f"{path} is damaged: {error}.") from None


def _lists_in(archive):
    lists, digests = {}, {}
    for member in archive:
        name = member.name.removeprefix("./")
        if member.isdir() and name in ("", ".", "wheels", "pip"):
            continue
        is_list = name in (*LISTS, LIST_OF_PIP) and member.size <= LONGEST_LIST
        if not member.isfile() or name in (*lists, *digests) or not (is_list or MEMBER.fullmatch(name)):
            raise Problem(f"The wheels have {json.dumps(name[:80])} among them, which is no wheel.")
        with archive.extractfile(member) as content:
            if is_list:
                lists[name] = content.read().decode("ascii").splitlines()
            else:
                digests[name] = digest_of(content)
    for name in (*LISTS, *([LIST_OF_PIP] if any(one.startswith("pip/") for one in digests) else [])):
        if not lists.get(name) or not all(map(LINE.fullmatch, lists[name])):
            raise Problem(f"The wheels have no list {name}.")
    for name in ("wheels", "pip"):
        listed = sorted(digest for line in lists.get(f"{name}.txt", []) for digest in re.findall(r"sha256:(\w+)", line))
        if listed != sorted(digest for path, digest in digests.items() if path.startswith(f"{name}/")):
            raise Problem(f"The wheels are not those that {name}.txt lists.")
    return lists


def digest_of(content):
    digest = hashlib.sha256()
    for block in iter(lambda: content.read(1 << 20), b""):
        digest.update(block)
    return digest.hexdigest()


# --- files of the controller ------------------------------------------------------------------------------------------


@contextmanager
def beside(target):
    """Give a new file beside another one, which goes in the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".new", dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def settle(new, target, replace=False):
    """Give a file its name once its content is on the disk; unless it replaces one, the first of several runs does."""
    with open(new, "rb") as content:
        os.fsync(content.fileno())
    os.chmod(new, 0o644)
    with suppress(FileExistsError):
        (os.replace if replace else os.link)(new, target)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def time_of(path):
    """Return when a file was changed, which another run may have removed meanwhile."""
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return time.time()


def forget_the_oldest(directory, kept=KEPT):
    """Remove the tars that have not been used for the longest time, and what an interrupted run left."""
    by_age = sorted(directory.glob("omero-web-*.tar"), key=time_of, reverse=True)
    left = [path for path in directory.glob(".*.new") if time.time() - time_of(path) > SECONDS_OF_A_DAY]
    for path in [*by_age[kept:], *left]:
        with suppress(FileNotFoundError):
            path.unlink()


def write_lock(path, tar, chosen):
    """Write a lock file of what the wheels were made from; it has these very wheels."""
    lines = lists_in(tar)["lock.txt"]
    with beside(path) as new:
        new.write_text(lock_text(chosen, lines))
        settle(new, path)
    # Another run may have been the first.
    if lines_of_lock(path, path.read_text(), chosen) == lines:
        with suppress(FileExistsError):
            os.link(tar, tar.with_name(file_name(chosen, digest_of_lock(lines))))


# --- what Ansible sees ------------------------------------------------------------------------------------------------


class ActionModule(wanted.RoleAction):
    """Fetches the wheels that a host has built, or uses those that are kept and writes a lock file where one is due."""

    _VALID_ARGS = frozenset(("fetch",))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        planned = task_vars["__omero_web_plan"]["wheels"]
        try:
            changed = self._fetch(Path(planned["path"])) if "fetch" in self._task.args else self._use(planned)
        except Problem as problem:
            return {**result, "failed": True, "msg": str(problem)}
        except OSError as error:
            where = error.filename or planned["path"]
            return {**result, "failed": True, "msg": f"{where} on this controller: {error.strerror}."}
        return {**result, "changed": changed}

    def _use(self, planned):
        tar = Path(planned["path"])
        os.utime(tar)
        if planned["writes_lock"]:
            write_lock(Path(planned["lock_file"]), tar, planned["chosen_by"])
        return planned["writes_lock"]

    def _fetch(self, target):
        with beside(target) as new:
            # Everybody may read it. Ansible's own fetch, as root, would have all of it in memory, in JSON.
            try:
                self._connection.fetch_file(self._task.args["fetch"], str(new))
            except AnsibleError as error:
                raise Problem(f"{self._task.args['fetch']} cannot be fetched from {self.hostname}: {error}") from None
            lists_in(new)
            settle(new, target)
        forget_the_oldest(target.parent)
        return True
