"""How OMERO.web runs on a converged host: its units, its processes, and who may read and write what."""

import re
from pathlib import Path

import pytest

# Owner, group and mode of everything that the role makes; {user} and {group} are the service's own.
OWNERSHIP = {
    "{basedir}": "root:root 755",
    "{basedir}/wheels": "root:root 755",
    "{basedir}/releases": "root:root 755",
    "{basedir}/current/release/": "root:root 755",
    "{basedir}/current/release/venv": "root:root 755",
    "{basedir}/current/release/static": "root:root 755",
    "{basedir}/current/release/manifest": "root:root 644",
    "{basedir}/generations": "root:root 755",
    "{basedir}/current/": "root:root 755",
    "{basedir}/current/etc/grid": "root:root 755",
    "{basedir}/current/etc/grid/config.xml": "root:{group} 640",
    "{basedir}/current/config.digest": "root:root 600",
    "{basedir}/current/gunicorn.conf.py": "root:root 644",
    "{basedir}/current/manifest": "root:root 644",
    "{basedir}/acme": "root:root 755",
    "{basedir}/pages": "root:root 755",
    "{basedir}/current/var": "root:{group} 750",
    "{basedir}/var": "root:root 755",
    "{basedir}/var/log": "{user}:{group} 750",
    "{basedir}/var/sessions": "root:root 755",
    "{basedir}/current/var/tmp/": "{user}:{group} 750",
    "{basedir}/var/django_secret_key": "root:{group} 640",
    "{basedir}/history": "root:root 600",
    "/usr/local/bin/omero": "root:root 755",
    "/usr/local/bin/omero-web": "root:root 755",
    "/etc/nginx/conf.d/omero-web.conf": "root:root 644",
    "/etc/systemd/system/omero-web.target": "root:root 644",
    "/etc/systemd/system/omero-web-boot.service": "root:root 644",
    "/etc/systemd/system/omero-web.socket": "root:root 644",
    "/etc/systemd/system/omero-web@{generation}.service": "root:root 644",
}

# Where what the role installs listens, and what docs/security.md tells of it.
LISTENING = {
    "*:80": ("nginx (`omero_web_http_port`; with a certificate also `*:443`, `omero_web_https_port`)", "users"),
    "127.0.0.1:4080": (
        "OMERO.web itself, by `omero-web.socket` (`omero.web.application_server.port`)",
        "nginx, and whoever is on the host",
    ),
}
PROGRAMS = ("nginx", "gunicorn", "redis-server")

# Like `gunicorn --print-config`, which gunicorn 19 does not know yet.
PRINT_SETTINGS = """
import sys
from gunicorn.app.wsgiapp import WSGIApplication
sys.argv = ["gunicorn", "--config", "gunicorn.conf.py", "omeroweb.wsgi:application"]
for name, setting in WSGIApplication().cfg.settings.items():
    print("%s = %s" % (name, setting.get()))
"""


# Where gunicorn looks for modules once it has loaded OMERO.web.
PRINT_PATH = """
import sys
from gunicorn.app.wsgiapp import WSGIApplication
sys.argv = ["gunicorn", "--config", "gunicorn.conf.py", "omeroweb.wsgi:application"]
application = WSGIApplication()
application.chdir()
application.wsgi()
print("\\n".join(sys.path))
"""


@pytest.fixture
def live_unit(generation):
    return f"omero-web@{generation}.service"


@pytest.fixture
def as_the_service(host, user, basedir, live_unit):
    """Run a Python program in the environment of the service; what it prints."""
    environment = host.check_output("systemctl show --property=Environment --value %s", live_unit)

    def as_the_service(program, **variables):
        more = " ".join(f"{name}={value}" for name, value in variables.items())
        python = f"runuser -u {user} -- env {environment} {more} {basedir}/current/release/venv/bin/python -"
        output = host.run(f"cd {basedir}/current/ && {python} <<'PROGRAM'\n{program}\nPROGRAM")
        assert output.rc == 0, output.stderr
        return output.stdout

    return as_the_service


def writable(host, user, paths):
    """What a user could write of paths, of all that is below them and of the directories that lead to them."""
    found = set(host.check_output(f"readlink --canonicalize-missing {' '.join(paths)}").split())
    parents = {str(parent) for path in found for parent in Path(path).parents}
    as_user = f"cd / && runuser -u {user} -- find"
    return [
        *host.run(f"{as_user} {' '.join(parents)} -maxdepth 0 -writable ! -perm -1000").stdout.split(),
        *host.run(f"{as_user} {' '.join(found)} -writable ! -type l").stdout.split(),
    ]


@pytest.fixture
def gunicorn_settings(as_the_service):
    """Let gunicorn tell, as the service would start it, what its settings are under the properties of an OMERODIR."""

    def gunicorn_settings(omerodir):
        output = as_the_service(PRINT_SETTINGS, OMERODIR=omerodir, OMERO_HOME=omerodir)
        return dict(re.findall(r"(?m)^(\w+) = (.*)$", output))

    return gunicorn_settings


@pytest.fixture
def other_omerodir(host, user):
    """A place for properties other than those of the live generation."""
    path = host.check_output("runuser -u %s -- mktemp -d", user)
    host.check_output("runuser -u %s -- mkdir -p %s", user, f"{path}/etc/grid")
    yield path
    host.check_output("rm -r %s", path)


@pytest.mark.parametrize(
    "unit", ["omero-web.target", "omero-web.socket", "omero-web@{generation}.service", "nginx.service"]
)
def test_unit_is_active(host, generation, unit):
    assert host.service(unit.format(generation=generation)).is_running


@pytest.mark.parametrize("unit", ["omero-web.target", "omero-web-boot.service", "nginx.service"])
def test_unit_is_enabled(host, unit):
    assert host.service(unit).is_enabled


def test_no_generation_is_enabled_by_itself(host):
    """Which one starts with the host is told by the link alone."""
    wants = host.check_output("ls /etc/systemd/system/omero-web.target.wants").split()
    assert wants == ["omero-web-boot.service"]


def test_only_the_live_generation_runs(host, generation):
    running = host.check_output("systemctl list-units --plain --no-legend --state=active 'omero-web*@*.service'")
    assert [line.split()[0] for line in running.splitlines()] == [f"omero-web@{generation}.service"]


def test_processes_are_the_service_users(host, user, basedir):
    processes = host.check_output("ps -e -o user:32=,args=").splitlines()
    owners = [line.split()[0] for line in processes if f"{basedir}/generations/" in line]
    assert set(owners) == {user}


def test_limit_of_open_files(host, main_pid, variables):
    limits = host.file(f"/proc/{main_pid()}/limits").content_string
    soft, hard = re.search(r"Max open files +(\d+) +(\d+)", limits).groups()
    assert int(soft) == int(hard) == variables["omero_web_limit_nofile"]


def test_ownership(host, basedir, user, variables, generation):
    names = {"basedir": basedir, "user": user, "group": variables["omero_web_group"], "generation": generation}
    wanted = {path.format(**names): owner.format(**names) for path, owner in OWNERSHIP.items()}
    found = host.run(f"stat --format='%n %U:%G %a' {' '.join(wanted)}").stdout
    assert dict(line.split(" ", 1) for line in found.splitlines()) == wanted


def test_only_what_is_documented_listens(host):
    lines = host.check_output("ss --no-header --listening --tcp --udp --numeric --processes").splitlines()
    own = [line.split()[4] for line in lines if any(f'"{program}"' in line for program in PROGRAMS)]
    assert {re.sub(r"^(0\.0\.0\.0|\[::\]):", "*:", address) for address in own} == {*LISTENING}


def test_current_is_a_relative_link_and_so_is_its_release(host, basedir, generation):
    assert host.check_output("readlink %s", f"{basedir}/current") == f"generations/{generation}"
    assert host.check_output("readlink %s", f"{basedir}/current/release").startswith("../../releases/")


def test_service_user_writes_nothing_but_its_log_and_its_sessions(host, user, basedir):
    writable = host.check_output("cd / && runuser -u %s -- find %s -writable ! -type l", user, basedir).splitlines()
    assert f"{basedir}/var/log" in writable
    own = re.compile(rf"{basedir}/var/(log|sessions/django-\d+\.\d+)(/|\Z)")
    assert [path for path in writable if not own.match(path)] == []


def test_service_user_writes_nothing_that_is_executed(host, user, basedir, live_unit, as_the_service):
    starts = host.check_output("systemctl show %s", live_unit)
    programs = re.findall(r"(?m)^Exec\w+=\{ path=(\S+)", starts)
    assert programs
    environment = host.check_output("systemctl show --property=Environment --value %s", live_unit)
    directories = re.search(r"\bPATH=(\S+)", environment)[1].split(":")
    modules = as_the_service(PRINT_PATH).split()
    assert f"{basedir}/current" in modules
    assert writable(host, user, [*programs, *directories, *modules]) == []


def test_service_user_writes_nothing_that_nginx_serves(host, user, basedir):
    served = re.findall(r"(?m)^\s*(?:root|alias)\s+(\S+);", host.check_output("nginx -T -q"))
    assert any(path.startswith(f"{basedir}/releases/") for path in served)
    assert writable(host, user, served) == []


def test_exposure(host, live_unit):
    if int(host.check_output("systemctl --version").split()[1]) < 252:
        pytest.skip("older versions of systemd have another scale, or none")
    host.check_output("systemd-analyze security --no-pager --threshold=15 %s", live_unit)


@pytest.mark.parametrize("secret", ["current/etc/grid/config.xml", "var/django_secret_key"])
def test_others_read_no_secret(host, basedir, secret):
    assert host.run("test -r %s", f"{basedir}/{secret}").succeeded
    assert host.run("runuser -u nobody -- test -r %s", f"{basedir}/{secret}").failed


@pytest.mark.parametrize("who", ["root", "{ansible_user}"])
def test_omero_command(host, variables, properties, main_pid, who):
    def omero(arguments):
        return host.check_output(f"runuser -u {who.format(**variables)} -- omero {arguments}")

    assert f"[RUNNING] (PID {main_pid()})" in omero("web status")
    assert omero("config get omero.web.wsgi_workers") == properties["omero.web.wsgi_workers"]


def test_gunicorn_runs_as_many_workers_as_configured(host, main_pid, properties):
    workers = host.check_output("pgrep --parent %s", main_pid()).split()
    assert len(workers) == int(properties["omero.web.wsgi_workers"])


def test_workers_are_as_many_as_wanted_or_as_the_cores_call_for(host, properties, variables):
    cores = int(host.check_output("nproc --all"))
    wanted = variables["omero_web_workers"] or 2 * cores + 1
    assert properties["omero.web.wsgi_workers"] == str(wanted)


def test_variables_become_properties(properties, variables):
    for name, variable in {
        "omero.web.wsgi_worker_class": "omero_web_worker_class",
        "omero.web.wsgi_threads": "omero_web_threads",
        "omero.web.wsgi_worker_connections": "omero_web_worker_connections",
        "omero.web.wsgi_timeout": "omero_web_timeout",
        "omero.web.application_server.max_requests": "omero_web_max_requests",
    }.items():
        assert properties[name] == str(variables[variable]), name


def test_gunicorn_follows_the_properties(basedir, gunicorn_settings, properties, variables):
    settings = gunicorn_settings(f"{basedir}/current")
    for setting, name in {
        "workers": "omero.web.wsgi_workers",
        "worker_class": "omero.web.wsgi_worker_class",
        "threads": "omero.web.wsgi_threads",
        "worker_connections": "omero.web.wsgi_worker_connections",
        "timeout": "omero.web.wsgi_timeout",
        "max_requests": "omero.web.application_server.max_requests",
    }.items():
        assert settings[setting] == properties[name], setting
    assert settings["graceful_timeout"] == str(variables["omero_web_graceful_timeout"])


def test_gunicorn_follows_other_properties_too(host, user, basedir, gunicorn_settings, other_omerodir):
    properties = (
        "omero.web.wsgi_workers=3\n"
        "omero.web.wsgi_threads=2\n"
        "omero.web.wsgi_timeout=77\n"
        "omero.web.application_server.port=4090\n"
        "omero.web.application_server.max_requests=500\n"
        "omero.web.wsgi_args=--log-level=debug --workers 4\n"
    )
    load = f"runuser -u {user} -- env OMERODIR={other_omerodir} {basedir}/current/release/venv/bin/omero config load"
    host.check_output(f"printf %s '{properties}' | {load}")
    settings = gunicorn_settings(other_omerodir)
    assert settings["bind"] == "['127.0.0.1:4090']"
    assert settings["threads"] == "2"
    assert settings["timeout"] == "77"
    assert settings["max_requests"] == "500"
    assert settings["max_requests_jitter"] == "50"
    assert settings["loglevel"] == "debug"
    assert settings["workers"] == "4", "what omero.web.wsgi_args says wins"


def test_the_host_tells_its_history(host, generation):
    output = host.check_output("omero-web history")
    assert f"put generation {generation} live" in output
    assert "  done in " in output
    assert " s  ansible-playbook, by " in output
