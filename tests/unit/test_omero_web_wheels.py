"""Wheels that all hosts share: which they are, the file that locks them, and what the controller takes from a host."""

import hashlib
import importlib.util
import io
import runpy
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from test_role_names import RELEASE, SITE, Action, templar

ROLE = Path(__file__).parents[2] / "roles/omero-web"
spec = importlib.util.spec_from_file_location("omero_web_wheels", ROLE / "action_plugins/omero_web_wheels.py")
wheels = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wheels)
listing = runpy.run_path(str(ROLE / "files/wheels.py"))

SHIPPING = {"pip": [], "requirements": ["omero-web==5.33.2"]}
DEFINITION = {"recipe": 1, "release": "5.33.2", "packages": [], "ice_wheel": " ", "python": "/usr/bin/python3 3.11"}
A, B = (hashlib.sha256(text).hexdigest() for text in (b"a", b"b"))
LINES = [f"a==1.0 --hash=sha256:{A}"]


def chosen(shipping=SHIPPING, platform="debian-12-x86_64", tag="cp311", **differences):
    python = {"tag": tag, "python": "3.11"}
    return wheels.chosen_by({**DEFINITION, **differences}, shipping, platform, python)


def tar(path, members=None, **differences):
    """Write wheels as a host hands them out, or, by `members`, not as it should."""
    content = {
        "wheels.txt": "\n".join(LINES) + "\n",
        "lock.txt": f"a==1.0 --hash=sha256:{B}\n",
        "wheels/a-1.0-py3-none-any.whl": "a",
        **differences,
    }
    with tarfile.open(path, "w") as archive:
        for name, text in {name: text for name, text in content.items() if text is not None}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        for member in members or []:
            archive.addfile(member)
    return path


# --- which wheels -----------------------------------------------------------------------------------------------------


def test_wheels_follow_from_what_they_are_chosen_by():
    others = [
        chosen(),
        chosen(tag="cp313"),
        chosen(platform="debian-13-x86_64"),
        chosen(packages=["omero-figure"]),
        chosen(constraints="00"),
        chosen(shipping={**SHIPPING, "pip": ["pip==20.3.4"]}),
    ]
    assert len({wheels.file_name(one, "") for one in others} | {wheels.file_name(chosen(), "aa")}) == 7
    # What makes another release of the same packages.
    assert wheels.file_name(chosen(static={"settings": {}}, brotli=True, lock="aa"), "") == (
        wheels.file_name(chosen(), "")
    )
    assert wheels.file_name(chosen(), "").startswith("omero-web-5.33.2-cp311-")
    # Before the interpreter is installed.
    assert chosen(tag="") == chosen()


@pytest.mark.parametrize(
    "lock, writes_lock, definition",
    [
        (None, False, {}),
        ([], True, {"lock": "to be written"}),
        (LINES, False, {"lock": wheels.digest_of_lock(LINES)}),
    ],
)
def test_a_lock_is_a_part_of_what_a_release_is(lock, writes_lock, definition):
    variables = {"omero_web_lock_file": "" if lock is None else "/l"}
    site = {"variables": variables, "packages": [], "pip_sources": []}
    found = wheels.wheels_of(site, chosen(), lock, "/cache")
    assert (found["writes_lock"], found["definition"]) == (writes_lock, definition)
    assert found["path"] == f"/cache/{wheels.file_name(chosen(), definition.get('lock', '') if lock else '')}"


@pytest.mark.parametrize("package", ["-e git+https://example.org/a.git", "--editable=/srv/a", " -e /srv/a"])
def test_an_editable_package_is_of_one_host(package):
    assert wheels.are_shared(["omero-figure", "-r /srv/a.txt"], ["--index-url=https://example.org"])
    assert not wheels.are_shared([package], [])
    assert not wheels.are_shared([], [package])


def test_what_an_index_does_not_have():
    on_index = ["omero-figure==8.0.1", "a[b,c]>=1,<2", "a ; python_version < '4'", "a~=1.0"]
    elsewhere = ["a @ https://example.org/a.whl", "git+https://example.org/a.git", "/srv/a", "./a.whl", "-e a"]
    assert wheels.not_on_index([*on_index, *elsewhere]) == elsewhere


# --- lock files -------------------------------------------------------------------------------------------------------


def test_a_lock_file_is_read_as_it_was_written():
    text = wheels.lock_text(chosen(), LINES)
    assert wheels.lines_of_lock("/l", text, chosen()) == LINES
    # As other tools and people write it.
    broken = text.replace(" --hash", " \\\n    --hash") + "\n# more\n"
    assert wheels.lines_of_lock("/l", broken, chosen()) == LINES


def test_another_content_is_another_lock():
    other = [LINES[0].replace(A, B)]
    assert wheels.digest_of_lock(LINES) != wheels.digest_of_lock(other)


def test_a_lock_file_that_is_not_there_is_to_be_written(tmp_path):
    assert wheels.lock_in(tmp_path / "lock.txt", chosen()) == []
    (tmp_path / "lock.txt").write_bytes(b"\xff")
    with pytest.raises(wheels.Problem, match="lock.txt, which cannot be read"):
        wheels.lock_in(tmp_path / "lock.txt", chosen())


@pytest.mark.parametrize(
    "text, made, sentence",
    [
        ("", {}, "omero_web_lock_file is /l, which does not say what it was made for;"),
        (LINES[0], {}, "which does not say what it was made for; remove it, and the run writes one."),
        ("# made for {nothing\n" + LINES[0], {}, "which does not say what it was made for;"),
        (wheels.lock_text(chosen(), []), {}, "which does not say what it was made for;"),
        ("--index-url=https://example.org", {}, 'has the line "--index-url=https://example.org"; each line is name'),
        ("a==1.0", {}, 'which has the line "a==1.0"'),
        ("-e /srv/a", {}, 'which has the line "-e /srv/a"'),
        (None, {"release": "5.34.0"}, "(its release is 5.33.2, and here 5.34.0); name another file, or remove it"),
        (None, {"packages": ["b"]}, "(its packages are none, and here b)"),
        (None, {"platform": "rocky-9-x86_64"}, "(its platform is debian-12-x86_64, and here rocky-9-x86_64)"),
        (None, {"tag": "cp313"}, "(its python is cp311, and here cp313)"),
    ],
)
def test_a_lock_file_that_does_not_fit(text, made, sentence):
    text = wheels.lock_text(chosen(), LINES) if text is None else text
    with pytest.raises(wheels.Problem) as refusal:
        wheels.lines_of_lock("/l", text, chosen(**made))
    assert sentence in str(refusal.value)


def test_the_first_lock_file_stays(tmp_path):
    wanted = chosen()
    path = tmp_path / "locks/omero-web.txt"
    first = tar(tmp_path / wheels.file_name(wanted, ""))
    wheels.write_lock(path, first, wanted)
    text = path.read_text()
    (line,) = wheels.lines_of_lock(path, text, wanted)
    assert line == f"a==1.0 --hash=sha256:{B}"
    # The next run finds the very wheels from which it was written.
    locked = tmp_path / wheels.file_name(wanted, wheels.digest_of_lock([line]))
    assert locked.samefile(first)
    second = tar(tmp_path / "second.tar", **{"lock.txt": LINES[0]})
    wheels.write_lock(path, second, wanted)
    assert path.read_text() == text
    assert not (tmp_path / wheels.file_name(wanted, wheels.digest_of_lock(LINES))).exists()
    assert list(tmp_path.glob("**/.*")) == []


# --- what the controller takes from a host ----------------------------------------------------------------------------


def test_wheels_are_as_they_are_listed(tmp_path):
    lists = wheels.lists_in(tar(tmp_path / "a.tar"))
    assert lists == {"wheels.txt": LINES, "lock.txt": [f"a==1.0 --hash=sha256:{B}"]}
    own_pip = {"pip.txt": f"pip==20.3.4 --hash=sha256:{B}", "pip/pip-20.3.4-py2.py3-none-any.whl": "b"}
    assert set(wheels.lists_in(tar(tmp_path / "b.tar", **own_pip))) == {"wheels.txt", "lock.txt", "pip.txt"}


def link(name):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    "differences, sentence",
    [
        ({"wheels/a-1.0-py3-none-any.whl": "b"}, "The wheels are not those that wheels.txt lists."),
        ({"wheels/b-1.0-py3-none-any.whl": "b"}, "The wheels are not those that wheels.txt lists."),
        ({"wheels/a-1.0-py3-none-any.whl": None}, "The wheels are not those that wheels.txt lists."),
        ({"pip/pip-1.0-py3-none-any.whl": "b"}, "The wheels have no list pip.txt."),
        ({"lock.txt": None}, "The wheels have no list lock.txt."),
        ({"lock.txt": "--index-url=https://example.org"}, "The wheels have no list lock.txt."),
        ({"../a.whl": "a"}, 'The wheels have "../a.whl" among them, which is no wheel.'),
        ({"wheels/../../a.whl": "a"}, 'have "wheels/../../a.whl" among them'),
        ({"lock.txt": "#" * (wheels.LONGEST_LIST + 1)}, 'have "lock.txt" among them'),
        ({"members": [link("wheels/b-1.0-py3-none-any.whl")]}, 'have "wheels/b-1.0-py3-none-any.whl" among them'),
        ({"members": [tarfile.TarInfo("wheels.txt")]}, 'have "wheels.txt" among them'),
    ],
)
def test_what_a_host_may_not_hand_out(tmp_path, differences, sentence):
    with pytest.raises(wheels.Problem) as refusal:
        wheels.lists_in(tar(tmp_path / "a.tar", **differences))
    assert sentence in str(refusal.value)


def test_damaged_wheels(tmp_path):
    path = tar(tmp_path / "a.tar")
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(wheels.Problem, match="a.tar is damaged"):
        wheels.lists_in(path)


def test_the_first_run_gives_the_name(tmp_path):
    target = tmp_path / "cache/a.tar"
    for text in ("first", "second"):
        with wheels.beside(target) as new:
            new.write_text(text)
            wheels.settle(new, target)
    assert target.read_text() == "first"
    assert [path.name for path in target.parent.iterdir()] == ["a.tar"]
    assert target.stat().st_mode & 0o777 == 0o644


def test_the_tars_of_long_ago_are_forgotten(tmp_path):
    for age in range(5):
        path = tmp_path / f"omero-web-{age}.tar"
        path.touch()
        wheels.os.utime(path, (1e9 - age, 1e9 - age))
    for name, when in ((".left.new", 1e9), (".now.new", wheels.time.time())):
        (tmp_path / name).touch()
        wheels.os.utime(tmp_path / name, (when, when))
    (tmp_path / "zeroc_ice-3.6.5-cp311-cp311-linux_x86_64.whl").touch()
    wheels.forget_the_oldest(tmp_path, kept=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".now.new", "omero-web-0.tar", "omero-web-1.tar", "zeroc_ice-3.6.5-cp311-cp311-linux_x86_64.whl",
    ]  # fmt: skip


# --- what a host lists ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, known",
    [
        ("Django_Pipeline-4.1.0-py3-none-any.whl", "django-pipeline==4.1.0"),
        ("a.b-1.0+own.1-py3-none-any.whl", "a-b==1.0+own.1"),
        ("zeroc-ice-3.6.5.tar.gz", "zeroc-ice==3.6.5"),
        ("omero-app-1.0.dev1.zip", "omero-app==1.0.dev1"),
    ],
)
def test_names_as_pip_knows_them(tmp_path, name, known):
    (tmp_path / name).write_text("a")
    (line,) = listing["lines_of"](str(tmp_path))
    assert line == f"{known} --hash=sha256:{A}"
    assert wheels.LINE.fullmatch(line)
    assert listing["lines_of"](str(tmp_path), known.partition("==")[0]) == []


def test_requirements_of_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("OMERO.py-5.4.10/share/web/requirements-py27-all.txt", "-r requirements-py27.txt\n")
        archive.writestr("OMERO.py-5.4.10/share/web/requirements-py27.txt", "Django\n")
        archive.writestr("OMERO.py-5.4.10/share/requirements.txt", "numpy\n")
    listing["unpack_requirements"](str(tmp_path / "a.zip"), str(tmp_path))
    assert sorted(path.name for path in tmp_path.glob("*.txt")) == [
        "requirements-py27-all.txt", "requirements-py27.txt",
    ]  # fmt: skip


# --- who builds them --------------------------------------------------------------------------------------------------


def test_the_first_host_that_lacks_wheels_builds_them():
    lacks = {"failed": "/a", "web-1": "/a", "web-2": "/b", "web-3": "/a", "web-4": "", "web-5": "/b", "web-6": None}
    hostvars = {
        name: {"inventory_hostname": name, **({} if path is None else {"__omero_web_lacks_wheels": path})}
        for name, path in lacks.items()
    }
    known = {"hostvars": hostvars, "ansible_play_hosts": list(lacks)[1:]}
    assert templar(**known).template("{{ _omero_web_first_without_wheels }}") == ["web-1", "web-2"]


# --- the scripts of a host --------------------------------------------------------------------------------------------


@pytest.fixture
def script():
    """What a template makes of a release: each line that is no comment."""

    def script(template, method="pypi", are_shared=True, lock=(), pip=()):
        action = Action(**SITE, omero_web_ice_wheel="/ice.whl")
        action.variables["__omero_web_host"] = {"selinux": "disabled"}
        release = {**RELEASE, "method": method, "definition": {}}
        known = {**action.known, "release": release, "build_properties": []}
        known["wheels"] = {**known["wheels"], "are_shared": are_shared, "lock": list(lock), "name": "a.tar"}
        known["shipping"] = {**known["shipping"], "pip": list(pip), "wheels_only": ""}
        # As a task has it, whose constants follow from the plan.
        given = {"__omero_web_template": template, "__omero_web_own": {}, "__omero_web_plan": known}
        text = action.evaluated("_omero_web_rendered", **given)
        assert subprocess.run(["sh", "-n"], input=text, text=True).returncode == 0
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    return script


@pytest.mark.parametrize("method", ["archive", "pypi"])
def test_a_release_is_installed_from_wheels_alone(script, method):
    lines = script("build-release.sh.j2", method, pip=["pip==20.3.4"])
    installing = [line for line in lines if "pip" in line and "install" in line]
    assert len(installing) == 2
    assert all("--isolated" in line and "--no-index --no-deps --require-hashes" in line for line in installing)
    assert "rm -r wheels /srv/web/wheels/a.tar" in lines
    assert ("rm /srv/web/wheels/OMERO.py-5.33.2-aa.zip" in lines) == (method == "archive")


@pytest.mark.parametrize("method", ["archive", "pypi"])
def test_a_host_with_a_package_of_its_own_asks_an_index(script, method):
    lines = script("build-release.sh.j2", method, are_shared=False)
    assert [line for line in lines if "--no-index" in line or "a.tar" in line] == []
    assert any(line.endswith('< "$input/requirements.txt"') for line in lines)


@pytest.mark.parametrize("method", ["archive", "pypi"])
@pytest.mark.parametrize(
    "template, command", [("build-release.sh.j2", "pip install"), ("build-wheels.sh.j2", "pip download")]
)
def test_packages_are_chosen_among_those_of_the_time_of_a_release(script, method, template, command):
    # With the line that goes on with each.
    commands = " ".join(script(template, method, are_shared=False)).replace("\\ ", "").split(" venv/bin/python ")
    chosen = [one for one in commands if f"-m {command} " in one and "requirements.txt" in one]
    assert chosen
    assert all('--constraint="$input/constraints.txt"' in one for one in chosen)


@pytest.mark.parametrize("tasks", ["build-release", "build-wheels"])
def test_a_build_gets_the_pins_of_a_release(tasks):
    found = yaml.safe_load((ROLE / f"tasks/{tasks}.yml").read_text())
    (files,) = [task["omero_web_build"]["files"] for task in found if "omero_web_build" in task]
    plan = {"shipping": {"constraints": ["a<2", "b<3"]}}
    assert templar(__omero_web_plan=plan).template(files["constraints.txt"]) == "a<2\nb<3"


@pytest.mark.parametrize("method", ["archive", "pypi"])
def test_a_lock_file_leaves_pip_no_choice(script, method):
    lines = script("build-wheels.sh.j2", method, lock=LINES)
    (download,) = [line for line in lines if "pip download" in line]
    assert download.endswith('--dest=originals --no-deps --require-hashes < "$input/lock.txt"')
    chosen = script("build-wheels.sh.j2", method)
    assert [line for line in chosen if "--require-hashes <" in line] == []
