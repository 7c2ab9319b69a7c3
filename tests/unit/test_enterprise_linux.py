"""The packages that the role asks for on Enterprise Linux 9, against what documents say that there is."""

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LINUX = yaml.safe_load((ROOT / "tests/enterprise-linux.yml").read_text())
SYSTEM = yaml.safe_load((ROOT / "roles/omero-web/vars/main/systems.yml").read_text())["_omero_web_systems"]["RedHat"]
RPMS = yaml.safe_load((ROOT / "molecule/el9-shaped/rpms.yml").read_text())
PYTHON = SYSTEM["pythons"][SYSTEM["python"]["pypi"]]
ASKED_FOR = [
    *SYSTEM["packages"],
    *SYSTEM["nginx_packages"],
    *SYSTEM["brotli_packages"],
    SYSTEM["apache_bench"],
    *PYTHON["packages"],
    *PYTHON["build_packages"],
    *SYSTEM["ice_build_packages"],
    SYSTEM["redis"]["package"],
    *SYSTEM["selinux"]["packages"],
]
FACTS = {
    f"{kind} {name}": fact for kind in ("packages", "modules", "repositories") for name, fact in LINUX[kind].items()
}


def test_nothing_is_another_on_enterprise_linux_9():
    """But for the Python of the system, which the role does not use there."""
    assert list(SYSTEM["versions"]["9"]) == ["pythons"]
    assert SYSTEM["python"]["pypi"] not in SYSTEM["versions"]["9"]["pythons"]


@pytest.mark.parametrize("package", ASKED_FOR)
def test_package_is_in_a_repository_that_a_fresh_host_has(package):
    repository = LINUX["packages"][package]["repository"]
    assert LINUX["repositories"][repository]["enabled"]


@pytest.mark.parametrize("package", ASKED_FOR)
def test_the_host_of_its_shape_has_the_package(package):
    assert package in [rpm["name"] for rpm in RPMS]


@pytest.mark.parametrize("fact", FACTS)
def test_a_document_says_so(fact):
    document = LINUX["documents"][FACTS[fact]["document"]]
    assert set(document) == {"what", "where", "date"}


def test_every_document_is_named_by_a_fact():
    named = {fact["document"] for fact in [*FACTS.values(), LINUX["python_from"]]}
    assert named == set(LINUX["documents"])
