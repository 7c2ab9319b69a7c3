#!/usr/bin/env python3
"""Make repositories of rpms that bring Debian's programs under the names that Enterprise Linux has for them.

    make_rpms.py DESCRIPTION.json DIRECTORY

Runs on a test host, as root. DESCRIPTION.json has the names of `repositories`, a list of `packages`, and what is
`known` of some of these by their names, which need not be said again. Of a package it says the `name`, the `version`
(with epoch and release), the `repository`, and

    debian      the Debian packages whose files are its own; what these depend on has to be on the host
    payload     a directory below /srv/payload with files of its own, which replace those of Debian
    without     what of all these is left out, as patterns
    requires, provides, pre
                as in a spec file; {version} is that of the package
    stream      the module and the stream that it belongs to, as in nginx:1.22
    gone        true for one that the index of the module names, and that is not in the repository
    unsigned    true for one that nobody signed
    installed   true for one that the host has from the start

DIRECTORY gets a directory for each repository, and RPM-GPG-KEY, the key that signed the packages.
"""

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ARCHIVES = Path("/var/cache/apt/archives")
PAYLOADS = Path("/srv/payload")
SIGNER = "test@enterprise-linux.example.org"
# The directories that are links since Debian and Enterprise Linux merged /usr.
MERGED = ("bin", "lib", "lib64", "sbin")
SPEC = """\
Name: {name}
Epoch: {epoch}
Version: {version}
Release: {release}
Summary: What Enterprise Linux calls {name}, as Debian has it
License: that of Debian's packages
AutoReqProv: no
%global debug_package %{{nil}}
%global __os_install_post %{{nil}}
%global _build_id_links none
{relations}
%description
For tests.
%prep
%build
%install
mkdir -p %{{buildroot}}
cp --archive --link {payload}/. %{{buildroot}}/
{pre}
%files
{files}
"""


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **options)  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"make_rpms.py: {' '.join(map(str, command))}: {done.stdout}")
    return done.stdout


def parts_of(version):
    """Return epoch, version and release."""
    epoch, _, rest = version.rpartition(":")
    version, _, release = rest.rpartition("-")
    return epoch or "0", version, release


def archive_of(package):
    """Return the file of a Debian package, in the version that apt would install."""
    version = run("apt-cache", "show", "--no-all-versions", package).split("\nVersion: ")[1].split("\n")[0]
    (archive,) = ARCHIVES.glob(f"{package}_{version.replace(':', '%3a')}_*.deb")
    return archive


def lay_out(package, payload):
    """Put the files of a package where they come to lie on the host."""
    payload.mkdir(parents=True)
    for name in package.get("debian", ()):
        run("dpkg-deb", "--extract", archive_of(name), payload)
    if "payload" in package:
        run("cp", "--recursive", "--no-dereference", f"{PAYLOADS / package['payload']}/.", payload)
    for name in MERGED:
        if (payload / name).is_dir():
            run("cp", "--archive", payload / name, payload / "usr")
            shutil.rmtree(payload / name)
    for pattern in package.get("without", ()):
        for path in payload.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def files_of(payload):
    """List the files for a spec file: what is in directories, and those in which there is nothing."""
    lines = []
    for directory, directories, files in os.walk(payload):
        place = "/" + str(Path(directory).relative_to(payload))
        links = [name for name in directories if (Path(directory) / name).is_symlink()]
        lines += [f'"{place}/{name}"' for name in files + links]
        if not files and not directories and place != "/.":
            lines.append(f'%dir "{place}"')
    return "".join(("%config(noreplace) " if '"/etc/' in line else "") + line + "\n" for line in lines)


def build(package, work, directory):
    """Build the rpm of a package into its repository; where it is."""
    epoch, version, release = parts_of(package["version"])
    place = work / f"{package['name']}-{version}-{release}"
    lay_out(package, place / "payload")
    relations = [
        f"{kind}: {what.format(version=package['version'])}"
        for kind in ("Requires", "Provides")
        for what in package.get(kind.lower(), ())
    ]
    (place / "spec").write_text(
        SPEC.format(
            name=package["name"],
            epoch=epoch,
            version=version,
            release=release,
            relations="\n".join(relations),
            payload=place / "payload",
            pre=f"%pre\n{package['pre']}" if "pre" in package else "",
            files=files_of(place / "payload"),
        )
    )
    macros = {
        "_topdir": place / "build",
        "_rpmdir": directory / package["repository"],
        "_rpmfilename": "%{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
        "_binary_payload": "w1.gzdio",
    }
    defines = [word for name, value in macros.items() for word in ("--define", f"{name} {value}")]
    run("rpmbuild", "-bb", "--quiet", *defines, place / "spec")
    (rpm,) = (directory / package["repository"]).glob(f"{package['name']}-{version}-{release}.*.rpm")
    return rpm


def modules_of(packages):
    """Describe the streams of modules, as the metadata of a repository has them (modulemd, version 2)."""
    streams = {}
    for package in packages:
        if "stream" in package:
            epoch, version, release = parts_of(package["version"])
            artifact = f"{package['name']}-{epoch}:{version}-{release}.{os.uname().machine}"
            streams.setdefault(package["stream"], []).append(artifact)
    for stream, artifacts in streams.items():
        name, _, stream = stream.partition(":")
        data = {
            "name": name,
            "stream": stream,
            "version": 9000000000000,
            "context": "rhel9",
            "arch": os.uname().machine,
            "summary": name,
            "description": name,
            "license": {"module": ["MIT"]},
            "profiles": {"common": {"rpms": [name]}},
            "artifacts": {"rpms": artifacts},
        }
        yield {"document": "modulemd", "version": 2, "data": data}


def index(repository, modules):
    run("createrepo_c", "--quiet", repository)
    if modules:
        path = repository.with_suffix(".yaml")
        path.write_text("".join(f"---\n{json.dumps(module)}\n...\n" for module in modules))
        run("modifyrepo_c", "--mdtype=modules", path, repository / "repodata")


def sign(rpms, home, key):
    """Sign with a key that is made for it, and write it to where rpm can have it from."""
    os.environ["GNUPGHOME"] = str(home)
    run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", SIGNER, "rsa2048", "sign", "never")
    run("gpg", "--batch", "--armor", "--output", key, "--export", SIGNER)
    # Debian has the program under this name alone.
    run("rpmsign", "--define", "__gpg /usr/bin/gpg", "--define", f"_gpg_name {SIGNER}", "--addsign", *rpms)


def main(description, directory):
    description, directory = json.loads(Path(description).read_text()), Path(directory)
    packages = [{**description["known"].get(package["name"], {}), **package} for package in description["packages"]]
    work = directory / "work"
    for name in description["repositories"]:
        (directory / name).mkdir(parents=True)
    work.mkdir(mode=0o700)
    wanted = sorted({name for package in packages for name in package.get("debian", ())})
    run("apt-get", "install", "--quiet", "--yes", "--download-only", "--no-install-recommends", *wanted)
    there = [package for package in packages if not package.get("gone")]
    # Most of the time, one waits for programs that have a single core each.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rpms = [*pool.map(lambda package: (package, build(package, work, directory)), there)]
    sign([rpm for package, rpm in rpms if not package.get("unsigned")], work, directory / "RPM-GPG-KEY")
    for name in description["repositories"]:
        index(directory / name, list(modules_of(package for package in packages if package["repository"] == name)))
    # Gpg's agent, which ends now, is removing its sockets there, too.
    run("rm", "--recursive", "--force", work)
    run("rpm", "--install", *(rpm for package, rpm in rpms if package.get("installed")))


if __name__ == "__main__":
    main(*sys.argv[1:])
