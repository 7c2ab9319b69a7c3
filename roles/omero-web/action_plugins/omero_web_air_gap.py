"""Action: write the bundle of a site whose hosts reach no index, or verify one on its controller and take what it has.

A bundle is one tar: `SHA256SUMS` of all that is in it, its signature by `ssh-keygen -Y sign`, wheels and archives.
Nothing of it is used before all of it has been verified. Everything down to `class ActionModule` knows neither Ansible
nor hosts.
"""

import io
import os
import re
import runpy
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))
wheels = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wheels.py"))))

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
LONGEST_TEXT = 1 << 20
# No signature that was made for something else is good for a bundle.
NAMESPACE = "omero-web-bundle"
WHEELS, ARCHIVES = "wheels", "archives"
NAME = re.compile(r"wheels/\w[\w.-]*/omero-web-[\w.-]+\.tar|archives/OMERO\.py-[\w.-]+\.zip")


class Problem(Exception):
    """What is wrong, in one sentence with the remedy."""


def ssh_keygen(*arguments, **options):
    """Run ssh-keygen, which asks nobody for a passphrase."""
    try:
        return subprocess.run(
            ["ssh-keygen", *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C", "SSH_ASKPASS": "/bin/false"},
            **{"stdin": subprocess.DEVNULL, **options},
        )
    except FileNotFoundError:
        raise Problem("This controller has no ssh-keygen; install OpenSSH.") from None


# --- writing ----------------------------------------------------------------------------------------------------------


def write(bundle, files, key):
    """Write a bundle of files, by their names in it, signed with a key: as a whole or not at all."""
    digests = {name: digest_of(path) for name, path in sorted(files.items())}
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
    signature = signed(sums, key)
    with wheels.beside(bundle) as new:
        with tarfile.open(new, "w") as archive:
            for name, content in ((SUMS, sums), (SIGNATURE, signature)):
                archive.addfile(member_of(name, len(content)), io.BytesIO(content))
            for name in digests:
                with open(files[name], "rb") as content:
                    archive.addfile(member_of(name, os.fstat(content.fileno()).st_size), content)
        wheels.settle(new, bundle, replace=True)


def member_of(name, size):
    """Return the entry of a file, which says nothing of when and by whom it was made."""
    member = tarfile.TarInfo(name)
    member.size = size
    return member


def signed(sums, key):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / SUMS
        path.write_bytes(sums)
        done = ssh_keygen("-Y", "sign", "-f", key, "-n", NAMESPACE, path)
        if done.returncode != 0:
            raise Problem(
                f"omero_web_bundle_key is {key}, with which nothing can be signed; give a private key without a "
                "passphrase, or the public key of one that ssh-agent has. ssh-keygen says: "
                f"{' '.join(done.stderr.split())}"
            )
        return path.with_name(SIGNATURE).read_bytes()


# --- reading ----------------------------------------------------------------------------------------------------------


def digests_of(bundle, signers):
    """Return the digests of what a bundle has, by name, once all of it is verified."""
    with opened(bundle) as archive:
        members = iter(archive)
        sums, signature = (text_of(next(members, None), name, archive, bundle) for name in (SUMS, SIGNATURE))
        check_signature(sums, signature, bundle, signers)
        wanted_digests = dict(reversed(line.split("  ", 1)) for line in sums.decode().splitlines())
        found = {}
        for member in members:
            name = member.name
            is_good = member.isfile() and NAME.fullmatch(name) and name in wanted_digests and name not in found
            with archive.extractfile(member) if is_good else io.BytesIO() as content:
                found[name] = wheels.digest_of(content) if is_good else ""
            if found[name] != wanted_digests.get(name):
                what = f"in which {name[:80]} is not what was signed"
                raise Problem(f"omero_web_bundle is {bundle}, {what}; get it again.")
        absent = sorted(set(wanted_digests) - set(found))
        if absent:
            raise Problem(f"omero_web_bundle is {bundle}, in which {absent[0]} is missing; get it again.")
        return found


@contextmanager
def opened(bundle):
    """Give a bundle, whose damages are told in a sentence."""
    if not bundle.is_file():
        raise Problem(f"omero_web_bundle is {bundle}, which is not on this controller; put it there.")
    try:
        with tarfile.open(bundle, "r:") as archive:
            yield archive
    except (tarfile.TarError, EOFError, ValueError):
        raise Problem(f"omero_web_bundle is {bundle}, which is damaged; get it again.") from None


def text_of(member, name, archive, bundle):
    if member is None or member.name != name or not member.isfile() or member.size > LONGEST_TEXT:
        raise Problem(f"omero_web_bundle is {bundle}, which is no bundle of playbooks/bundle.yml; get it again.")
    with archive.extractfile(member) as content:
        return content.read()


def check_signature(sums, signature, bundle, signers):
    """Refuse what nobody has signed who is in the file of signers."""
    if not Path(signers).is_file():
        raise Problem(f"omero_web_bundle_signers is {signers}, which is not on this controller; put it there.")
    with tempfile.NamedTemporaryFile() as file, tempfile.TemporaryFile() as content:
        file.write(signature)
        file.flush()
        content.write(sums)
        who = ssh_keygen("-Y", "find-principals", "-s", file.name, "-f", signers).stdout.splitlines()
        content.seek(0)
        check = ["-Y", "verify", "-f", signers, "-n", NAMESPACE, "-s", file.name]
        if not who or ssh_keygen(*check, "-I", who[0], stdin=content).returncode != 0:
            raise Problem(
                f"omero_web_bundle is {bundle}, whose signature is not that of anybody in {signers} "
                "(omero_web_bundle_signers); get it again, or the key of whoever has made it."
            )


def take(bundle, signers, places):
    """Put what a bundle has into its places on the controller, by the beginnings of names, unless it is there."""
    digests = digests_of(bundle, signers)
    targets = {name: Path(places[name.split("/")[0]]) / name.split("/", 1)[1] for name in digests}
    missing = {name for name, path in targets.items() if not path.is_file() or digest_of(path) != digests[name]}
    with opened(bundle) as archive:
        for member in archive:
            if member.name in missing:
                with wheels.beside(targets[member.name]) as new:
                    with archive.extractfile(member) as content, open(new, "wb") as copy:
                        for block in iter(lambda content=content: content.read(1 << 20), b""):
                            copy.write(block)
                    # Somebody may have changed the bundle meanwhile.
                    if digest_of(new) != digests[member.name]:
                        raise Problem(f"omero_web_bundle is {bundle}, which has just been changed; run again.")
                    wheels.settle(new, targets[member.name], replace=True)


def digest_of(path):
    with open(path, "rb") as content:
        return wheels.digest_of(content)


# --- what Ansible sees ------------------------------------------------------------------------------------------------


class ActionModule(wanted.RoleAction):
    _VALID_ARGS = frozenset(("write",))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        try:
            self._write() if self._task.args.get("write") else self._take()
        except Problem as problem:
            return {**result, "failed": True, "msg": str(problem)}
        except OSError as error:
            return {**result, "failed": True, "msg": f"{error.filename} on this controller: {error.strerror}."}
        return {**result, "changed": bool(self._task.args.get("write"))}

    def _take(self):
        """Have what a release is built of, from the bundle or kept already; there is no other way."""
        variables, planned = self.checked["variables"], self.variables["__omero_web_plan"]["wheels"]
        path, chosen = Path(planned["path"]), planned["chosen_by"]
        places = {ARCHIVES: self.constants["_omero_web_archive_cache"], WHEELS: path.parents[1]}
        if variables["omero_web_bundle"]:
            signers = expanded(variables["omero_web_bundle_signers"])
            take(expanded(variables["omero_web_bundle"]), signers, places)
        if not path.is_file():
            where = f"neither {variables['omero_web_bundle']} nor" if variables["omero_web_bundle"] else "not even"
            raise Problem(
                f"omero_web_offline is true, and {where} {path.parent} has the wheels of omero-web {chosen['release']} "
                f"for {chosen['platform']} and {chosen['python']}, with these packages beside it: "
                f"{wheels.shown(chosen['packages'])}. Make a bundle of them by playbooks/bundle.yml. Nothing has "
                "changed."
            )

    def _write(self):
        """Write what all hosts of this run are installed from."""
        hosts, variables = self.variables["hostvars"], self.checked["variables"]
        known = [hosts[host] for host in self.variables["ansible_play_hosts"]]
        tars = [Path(one["__omero_web_plan"]["wheels"]["path"]) for one in known]
        archives = [one["__omero_web_archive"]["path"] for one in known if "path" in one.get("__omero_web_archive", {})]
        files = {f"{WHEELS}/{path.parent.name}/{path.name}": path for path in tars}
        files.update({f"{ARCHIVES}/{Path(path).name}": path for path in archives})
        write(expanded(variables["omero_web_bundle"]), files, expanded(variables["omero_web_bundle_key"]))


def expanded(path):
    return Path(path).expanduser()
