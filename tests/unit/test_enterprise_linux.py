"""The packages that the role asks for on Enterprise Linux, and where it has them from, against what documents say."""

import configparser
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROLE = ROOT / "roles/omero-web/vars/main"
FAMILY = yaml.safe_load((ROLE / "systems.yml").read_text())["_omero_web_systems"]["RedHat"]
ARCHIVES = yaml.safe_load((ROLE / "repositories.yml").read_text())["_omero_web_archives"]
VERSIONS = ["7", "9"]
LINUX = {name: yaml.safe_load((ROOT / f"tests/enterprise-linux-{name}.yml").read_text()) for name in VERSIONS}
RPMS = {name: yaml.safe_load((ROOT / f"molecule/el{name}-shaped/rpms.yml").read_text()) for name in VERSIONS}
SYSTEMS = {name: {**FAMILY, **FAMILY["versions"][name]} for name in VERSIONS}
PAYLOAD = ROOT / "molecule/el7-shaped/payload"


def asked_for(system):
    for interpreter in filter(None, system["python"].values()):
        yield from FAMILY["pythons"][interpreter]["packages"]
        yield from FAMILY["pythons"][interpreter]["build_packages"]
    for name in ("packages", "nginx_packages", "brotli_packages", "ice_build_packages"):
        yield from system[name]
    yield from system["selinux"]["packages"]
    yield from (system["apache_bench"], system["redis"]["package"])
    yield from filter(None, [system["repository_package"]])


ASKED_FOR = [(version, package) for version in VERSIONS for package in dict.fromkeys(asked_for(SYSTEMS[version]))]
FACTS = {
    f"{kind} {name} of {version}": (version, fact)
    for version in VERSIONS
    for kind in ("packages", "modules", "repositories")
    for name, fact in LINUX[version][kind].items()
}


def archived(text):
    """Return what the role makes of a repository file."""
    for replacement in ARCHIVES["replacements"]:
        text = re.sub(replacement["regexp"], replacement["replace"], text)
    return text


def test_nothing_is_another_on_enterprise_linux_9():
    """But for the Python of the system, which the role does not use there."""
    assert list(FAMILY["versions"]["9"]) == ["pythons"]
    assert FAMILY["python"]["pypi"] not in FAMILY["versions"]["9"]["pythons"]


@pytest.mark.parametrize("version, package", ASKED_FOR)
def test_package_is_in_a_repository_that_a_host_has(version, package):
    """From the start, or by the package that the role installs before all others."""
    repository = LINUX[version]["repositories"][LINUX[version]["packages"][package]["repository"]]
    brought_by = SYSTEMS[version]["repository_package"]
    assert repository["enabled"] or (brought_by != package and repository["package"] == brought_by)


@pytest.mark.parametrize("version, package", ASKED_FOR)
def test_the_host_of_its_shape_has_the_package(version, package):
    assert package in [rpm["name"] for rpm in RPMS[version]]


@pytest.mark.parametrize("fact", FACTS)
def test_a_document_says_so(fact):
    version, told = FACTS[fact]
    assert set(LINUX[version]["documents"][told["document"]]) == {"what", "where", "date"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_document_is_named_by_a_fact(version):
    told = [*(fact for of, fact in FACTS.values() if of == version), LINUX[version].get("python_from")]
    assert {fact["document"] for fact in told if fact} == set(LINUX[version]["documents"])


def test_centos_7_has_its_repositories_from_the_archives():
    files = [archived(path.read_text()) for path in PAYLOAD.glob("*/etc/yum.repos.d/*.repo")]
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string("\n".join(files))
    found = {name: dict(parser[name]) for name in parser.sections()}
    assert not any({"mirrorlist", "metalink"} & set(options) for options in found.values())
    addresses = {name: repository["address"] for name, repository in LINUX["7"]["repositories"].items()}
    assert {name: found[name]["baseurl"] for name in addresses} == addresses


@pytest.mark.parametrize(
    "line, expected",
    [
        ("baseurl=http://mirror.centos.org/centos/7/os/x86_64/", "baseurl=https://vault.centos.org/7.9.2009/os/x86_64/"),
        ("baseurl=http://mirror.centos.org/centos/$releasever/sclo/$basearch/rh/",
         "baseurl=https://vault.centos.org/7.9.2009/sclo/$basearch/rh/"),
        # Of newer versions of epel-release.
        ("#baseurl=http://download.example/pub/epel/7/$basearch",
         "baseurl=https://archives.fedoraproject.org/pub/archive/epel/7/$basearch"),
        ("metalink=https://mirrors.fedoraproject.org/metalink?repo=epel-7&arch=$basearch&infra=$infra",
         "#metalink=https://mirrors.fedoraproject.org/metalink?repo=epel-7&arch=$basearch&infra=$infra"),
        ("baseurl=https://mirror.example.org/centos/7/os/x86_64/", "baseurl=https://mirror.example.org/centos/7/os/x86_64/"),
    ],
)  # fmt: skip
def test_repository_lines(line, expected):
    assert archived(f"[one]\n{line}\n") == f"[one]\n{expected}\n"
    # None is taken for gone once it is replaced.
    assert not re.search(ARCHIVES["pattern"], f"[one]\n{expected}\n")
