"""What follows from a site's variables, and from the host that they are for."""

import importlib.util
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.parsing.yaml.objects import AnsibleVaultEncryptedUnicode

ROLE = Path(__file__).parents[2] / "roles/omero-web"
spec = importlib.util.spec_from_file_location("omero_web_wanted", ROLE / "action_plugins/omero_web_wanted.py")
wanted = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wanted)

DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
TABLES = {
    name: table for path in ROLE.glob("vars/main/*.yml") for name, table in yaml.safe_load(path.read_text()).items()
}
# What is a template there, evaluated for the unnamed instance.
CONSTANTS = {
    **TABLES,
    "_omero_web_name": "omero-web",
    "_omero_web_nginx_conf": "/etc/nginx/conf.d/omero-web.conf",
    "_omero_web_redis_socket": "/run/omero-web-redis/redis.sock",
    "_omero_web_access_log": "/var/log/nginx/omero-web.access.log",
    "_omero_web_error_log": "/var/log/nginx/omero-web.error.log",
    "_omero_web_tls_installed": "/etc/nginx/omero-web.pem",
}
DEBIAN = {
    "os_family": "Debian",
    "distribution": "Debian",
    "distribution_version": "12.5",
    "distribution_major_version": "12",
    "service_mgr": "systemd",
    "nodename": "web-1",
    "python": {"executable": "/usr/bin/python3"},
}
LOOK = {"systemd": 252, "cores": 2, "current": 0, "generations": []}
RELEASE = {
    "name": "5.33.2-aa", "directory": "/opt/omero/web/releases/5.33.2-aa", "version": "5.33.2", "method": "pypi",
    "python": "3.11", "interpreter": "/usr/bin/python3", "django": "5.2", "series": {},
}  # fmt: skip
CERTIFICATE, KEY = (f"-----BEGIN {what}-----\nabc\n-----END {what}-----" for what in ("CERTIFICATE", "PRIVATE KEY"))


def site(cores=0, django="", **variables):
    return wanted.site_of({**DEFAULTS, **{f"omero_web_{k}": v for k, v in variables.items()}}, CONSTANTS, cores, django)


def facts(distribution, version, **differences):
    family = "Debian" if distribution in ("Debian", "Ubuntu") else "RedHat"
    own = {"distribution": distribution, "distribution_version": version, "os_family": family}
    return {**DEBIAN, **own, "distribution_major_version": version.split(".")[0], **differences}


def host(site, look=LOOK, facts=DEBIAN):
    return wanted.host_of(site, CONSTANTS, look, facts, "web-1")


def shipping(site, facts=DEBIAN, constraints="", **differences):
    release = {**RELEASE, **differences}
    return wanted.shipping_of(site, CONSTANTS, host(site, facts=facts), release, constraints)


def whole(site, facts=DEBIAN, **differences):
    known = {**host(site, facts=facts), "release": {**RELEASE, **differences}, "socket": "omero-web.socket"}
    known["shipping"] = shipping(site, facts, **differences)
    return wanted.wanted_of(site, CONSTANTS, known)


# --- what follows from the variables alone ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "package, name",
    [
        ("omero_mapr", "omero_mapr"),
        ("omero-figure==8.0.1", "omero_figure"),
        ("omero-figure[export] >= 8; python_version > '3'", "omero_figure"),
        ("omero-figure[export] @ https://me:hunter2@example.org/8.zip", "omero_figure"),
        ("git+https://git.example.org/ome/omero-iviewer.git@v0.19.1#egg=omero", "omero_iviewer"),
        ("https://me:hunter2@example.org/omero-parade-0.2.4.tar.gz", "omero_parade"),
        ("/var/tmp/omero_test_app-1.0-py3-none-any.whl", "omero_test_app"),
    ],
)
def test_name_of_an_app(package, name):
    assert wanted.app_name({"package": package}) == name


def test_apps_keep_their_order_and_what_is_appended_comes_last():
    apps = [
        {"package": "b", "top_links": [["B", "b"]], "viewer": "b.views.index"},
        {"package": "a", "name": "first", "top_links": [["A", "a", {"title": "A"}]], "settings": {"omero.web.a": [1]}},
    ]
    found = site(apps=apps, config_append={"omero.web.apps": ["last"]})
    assert found["append"] == {
        "omero.web.apps": ["b", "first", "last"],
        "omero.web.ui.top_links": [["B", "b"], ["A", "a", {"title": "A"}]],
    }
    settings = {"omero.web.a": [1], "omero.web.viewer.view": "b.views.index"}
    assert wanted.app_settings(apps) == settings
    assert settings.items() <= found["settings"].items()


def test_nothing_follows_from_no_apps():
    assert site()["append"] == {}
    assert wanted.app_settings([]) == {}


def test_the_last_viewer_of_the_apps_is_the_one():
    apps = [{"viewer": "a.views.index"}, {"viewer": "b.views.index"}, {}]
    assert wanted.app_settings(apps) == {"omero.web.viewer.view": "b.views.index"}


@pytest.mark.parametrize(
    "variables, expected",
    [
        ({}, False),
        ({"apps": [{"package": "django-prometheus"}]}, True),
        ({"config_append": {"omero.web.apps": ["django_prometheus"]}}, True),
        ({"config": {"omero.web.apps": ["django_prometheus"]}}, True),
        ({"config": {"omero.web.apps": '["django_prometheus"]'}}, True),
    ],
)
def test_prometheus_is_found_among_apps(variables, expected):
    assert site(**variables)["has_prometheus"] is expected


@pytest.mark.parametrize(
    "url, location, password",
    [
        ("redis://redis.example.org:6379/0", "redis://redis.example.org:6379/0", ""),
        ("redis://:hunter2@redis.example.org/1", "redis://redis.example.org/1", "hunter2"),
        ("rediss://web:p%40+%25@[::1]:6380/1?a=b", "rediss://web@[::1]:6380/1?a=b", "p@+%"),
        ("unix:///run/redis/redis.sock?db=0", "unix:///run/redis/redis.sock?db=0", ""),
        ("unix://:a:b@/run/redis/redis.sock", "unix:///run/redis/redis.sock", "a:b"),
    ],
)
def test_password_is_kept_apart_from_the_url_of_a_redis(url, location, password):
    found = site(redis_url=url, django="5.2")
    cache = found["secrets"]["omero.web.caches"]["default"]
    assert found["hidden"]["omero_web_redis_url"] == password
    assert cache["LOCATION"] == location
    assert cache["OPTIONS"].get("PASSWORD", "") == password
    assert cache["KEY_PREFIX"] == "omero-web:django-5.2"


@pytest.mark.parametrize(
    "server, host, port",
    [
        ({"host": "omero.example.org"}, "omero.example.org", 4064),
        ({"host": "omero.example.org", "port": 14064}, "omero.example.org", 14064),
        ({"host": "wss://omero.example.org/omero-ws"}, "wss://omero.example.org/omero-ws", 443),
        ({"host": "ws://omero.example.org/omero-ws", "port": 8080}, "ws://omero.example.org/omero-ws", 8080),
        ({"host": "tcp://192.0.2.10"}, "tcp://192.0.2.10", 4063),
    ],
)
def test_server_has_the_port_of_its_protocol(server, host, port):
    """OMERO.web's own list has a port for each, which its client takes instead of the protocol's."""
    servers = [{"name": "first", **server}, {"name": "second", "host": "192.0.2.11"}]
    found = site(servers=servers)["settings"]["omero.web.server_list"]
    assert found == [[host, port, "first"], ["192.0.2.11", 4064, "second"]]


@pytest.mark.parametrize("host, address", [("0.0.0.0", "0.0.0.0:4080"), ("::1", "[::1]:4080")])
def test_address_where_omero_web_listens(host, address):
    assert site(config={"omero.web.application_server.host": host})["address"] == address


@pytest.mark.parametrize(
    "nginx, proxies, arguments, expected",
    [
        (True, ["192.0.2.10"], "", ""),
        (True, [], "--log-level=DEBUG", "--log-level=DEBUG"),
        (False, [], "", ""),
        (False, ["192.0.2.10"], "", "--forwarded-allow-ips=127.0.0.1,::1,192.0.2.10"),
        (False, ["192.0.2.10"], "-k sync", "--forwarded-allow-ips=127.0.0.1,::1,192.0.2.10 -k sync"),
    ],
)
def test_gunicorn_believes_proxies_where_there_is_no_nginx(nginx, proxies, arguments, expected):
    settings = site(nginx=nginx, trusted_proxies=proxies, wsgi_args=arguments)["settings"]
    assert settings.get("omero.web.wsgi_args", "") == expected


@pytest.mark.parametrize(
    "arguments, sources, others",
    [
        ("--index-url https://me:hunter2@a.org/simple -v", ["--index-url https://me:hunter2@a.org/simple"], "-v"),
        ("-ihttps://me:hunter2@a.org --extra-index-url=https://b.org", None, ""),
        ("-r https://me:hunter2@a.org/r.txt -chttps://a.org/c.txt?token=hunter2", None, ""),
        ("--constraint=https://a.org/c.txt -e git+https://me:hunter2@a.org/app.git", None, ""),
        (
            "--no-cache-dir -r /srv/requirements.txt --retries 3",
            [],
            "--no-cache-dir -r /srv/requirements.txt --retries 3",
        ),
    ],
)
def test_addresses_are_no_part_of_the_command_line_of_pip(arguments, sources, others):
    found = site(pip_extra_args=arguments)
    assert found["pip_sources"] == (
        arguments.split(" -")[:1] + ["-" + part for part in arguments.split(" -")[1:]] if sources is None else sources
    )
    assert (
        found["pip_install"].removeprefix("-m pip install --disable-pip-version-check --requirement /dev/stdin").split()
        == others.split()
    )


@pytest.mark.parametrize(
    "arguments, others",
    [
        ("--no-cache-dir --upgrade --retries 3", "--no-cache-dir --retries 3"),
        ("--root-user-action=ignore --pre -U", "--pre"),
        ("--upgrade-strategy eager --no-warn-script-location --proxy=http://example.org", "--proxy=http://example.org"),
        ("--index-url https://example.org --no-compile --user-agent", "--user-agent"),
    ],
)
def test_what_only_pip_install_knows_is_for_that_alone(arguments, others):
    found = site(pip_extra_args=arguments)
    for command in ("download", "wheel"):
        beginning = f"-m pip {command} --disable-pip-version-check --requirement /dev/stdin"
        assert found[f"pip_{command}"].removeprefix(beginning).split() == others.split()


def test_pip_asks_no_index_offline():
    found = site(pip_extra_args="--index-url https://example.org --find-links /srv --pre", offline="yes")
    assert found["pip_sources"] == []
    assert found["pip_install"].endswith(" --requirement /dev/stdin --no-index")


def test_settings_of_apps_and_the_site_come_last():
    apps = [{"package": "a", "settings": {"omero.web.wsgi_timeout": 1, "omero.web.prefix": "/a"}}]
    found = site(apps=apps, prefix="/own", config={"omero.web.prefix": "/site"}, secrets={"omero.web.caches": {}})
    assert found["settings"]["omero.web.wsgi_timeout"] == 1
    assert found["prefix"] == "/site"
    assert site(redis=True, secrets={"omero.web.caches": {}})["secrets"] == {"omero.web.caches": {}}


@pytest.mark.parametrize("workers, cores, expected", [(0, 0, "1"), (0, 8, "17"), ("3", 8, "3")])
def test_workers_follow_from_the_cores(workers, cores, expected):
    assert site(workers=workers, cores=cores)["settings"]["omero.web.wsgi_workers"] == expected


@pytest.mark.parametrize("worker_class, threads, clients", [("sync", 1, 500), ("sync", 20, 20), ("gevent", 1, 500)])
def test_worker_takes_in_what_it_has_threads_for(worker_class, threads, clients):
    settings = site(worker_class=worker_class, threads=threads, worker_connections=500)["settings"]
    assert settings["omero.web.wsgi_worker_connections"] == clients


def test_a_digest_changes_with_each_part_of_a_configuration():
    changes = {
        "threads": 2, "config": {"omero.web.debug": True}, "secrets": {"omero.web.public.password": "a"}, "redis": True,
        "config_append": {"omero.web.apps": ["a"]}, "config_purge": False, "tls_certificate": "self-signed",
    }  # fmt: skip
    digests = {site()["digest"], *(site(**{name: value})["digest"] for name, value in changes.items())}
    assert len(digests) == 1 + len(changes)


def test_a_digest_is_that_of_configurations_on_hosts():
    """A new version of the role makes no generation where nothing has changed."""
    found = site(redis=True, workers=2, secrets={"omero.web.public.password": "a"}, config={"omero.web.debug": True})
    assert found["digest"] == "7bc885519648e96d0a0db7277e9ae6f6d9a1c1ed7a587e2acd66e68b918af374"


@pytest.mark.parametrize(
    "variables, ports, url",
    [
        ({}, {"omero_web_http_port": 80}, "http://127.0.0.1:80"),
        (
            {"tls_certificate": "self-signed"},
            {"omero_web_http_port": 80, "omero_web_https_port": 443},
            "https://127.0.0.1:443",
        ),
        ({"nginx": "no"}, {}, "http://127.0.0.1:4080"),
    ],
)
def test_where_the_host_asks_itself(variables, ports, url):
    found = site(**variables)
    assert (found["ports"], found["base_url"]) == (ports, url)


@pytest.mark.parametrize(
    "certificate, key, expected, given, text",
    [
        ("self-signed", "", ("/opt/omero/web/self-signed.pem",) * 2, {}, ""),
        ("/c.pem", "/k.pem", ("/c.pem", "/k.pem"), {"certificate": "/c.pem", "key": "/k.pem"}, ""),
        (CERTIFICATE, KEY, ("/etc/nginx/omero-web.pem",) * 2, {}, f"{CERTIFICATE}\n{KEY}\n"),
        ("/c.pem", KEY, ("/c.pem", "/etc/nginx/omero-web.pem"), {"certificate": "/c.pem"}, f"{KEY}\n"),
    ],
)
def test_where_nginx_has_its_certificate_from(certificate, key, expected, given, text):
    tls = site(tls_certificate=certificate, tls_key=key)["tls"]
    assert (tls["certificate"], tls["key"]) == expected
    assert (tls["given"], tls["text"]) == ({f"omero_web_tls_{name}": path for name, path in given.items()}, text)


def test_browsers_are_told_to_stay_with_a_certificate_that_is_no_trial():
    hsts = {"Strict-Transport-Security": "max-age=63072000"}
    files = {"tls_certificate": "/c.pem", "tls_key": "/k.pem"}
    assert hsts.items() <= site(**files)["headers"].items()
    for variables in ({}, {"tls_certificate": "self-signed"}, {**files, "hsts_seconds": 0}):
        assert "Strict-Transport-Security" not in site(**variables)["headers"]


def test_what_is_there_for_a_part_of_a_site_alone():
    certificate = "/etc/letsencrypt/live/web/fullchain.pem"
    everything = site(redis=True, tls_certificate=certificate, tls_key="/etc/letsencrypt/live/web/privkey.pem")
    for name in "directories", "files":
        paths = [[one["path"] for one in found[name]] for found in (site(), everything)]
        assert paths[1][: len(paths[0])] == paths[0]
        assert len(paths[1]) == len(paths[0]) + 2
    assert site(nginx=False)["logs"] == []
    assert site(access_log="none")["logs"] == ["/var/log/nginx/omero-web.error.log"]


def test_what_a_look_asks():
    found = wanted.look_arguments(site(python="/opt/python", open_firewall=False), CONSTANTS)
    assert (found["pythons"], found["firewall"]) == (["/opt/python"], False)
    found = wanted.look_arguments(site(tls_certificate="/one.pem", tls_key="/one.pem"), CONSTANTS)
    assert found["pythons"] == TABLES["_omero_web_usual_pythons"]
    assert (found["firewall"], found["files"]) == (True, ["/one.pem"])
    assert {"/opt/omero/web/self-signed.pem", "/etc/nginx/sites-enabled/default"} <= set(found["paths"])


# --- what follows from the host, too ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "system, expected",
    [
        (("Debian", "10.2"), False), (("Debian", "11.9"), True), (("Debian", "14"), True),
        (("Debian", "forky/sid"), True),
        (("Ubuntu", "20.04"), False), (("Ubuntu", "22.04"), True), (("Ubuntu", "24.04"), True),
        (("CentOS", "6.10"), False), (("CentOS", "7.9"), True), (("CentOS", "8.5"), True), (("CentOS", "10"), False),
        (("RedHat", "7.9"), False), (("RedHat", "9.4"), True), (("Rocky", "8.10"), True), (("Rocky", "10.0"), False),
        (("Fedora", "41"), False),
    ],
)  # fmt: skip
def test_platforms(system, expected):
    problem = wanted.problem_of_platform(CONSTANTS, facts(*system), "web-1")
    assert (problem == "") == expected
    assert expected or problem.startswith(f"web-1 is {' '.join(system)} with systemd as its service manager; ")
    assert "sysvinit" in wanted.problem_of_platform(CONSTANTS, facts(*system, service_mgr="sysvinit"), "web-1")


@pytest.mark.parametrize(
    "system, expected",
    [
        (("Debian", "11"), {"brotli_packages": [], "archive": "/usr/bin/python2.7"}),
        (("Debian", "13"), {"brotli_packages": ["brotli", "libnginx-mod-http-brotli-static"], "archive": ""}),
        (("Ubuntu", "22.04"), {"brotli_packages": [], "archive": "/usr/bin/python2.7"}),
        (("Ubuntu", "24.04"), {"brotli_packages": ["brotli", "libnginx-mod-http-brotli-static"], "archive": ""}),
        (("CentOS", "7.9"), {"repository_package": "epel-release", "is_archived": True}),
        (("Rocky", "8.10"), {"repository_package": "", "archive": "", "packages": ["python36"], "version": "3.6"}),
        (("AlmaLinux", "9.4"), {"is_archived": False, "archive": "", "packages": ["python3"], "version": "3.9"}),
    ],
)
def test_what_operating_systems_have(system, expected):
    found = wanted.system_of(CONSTANTS, facts(*system))
    python = found["pythons"]["/usr/bin/python3"]
    found = {**found, **found["python"], "version": python.get("version"), "packages": python["packages"]}
    assert expected.items() <= found.items()
    assert "versions" not in found


def test_packages_are_installed_with_a_python_that_can():
    assert wanted.system_of(CONSTANTS, DEBIAN)["package_interpreter"] == "/usr/bin/python3"
    own = facts("Rocky", "8.10", python={"executable": "/usr/libexec/platform-python"})
    assert wanted.system_of(CONSTANTS, own)["package_interpreter"] == "/usr/libexec/platform-python"
    assert wanted.system_of(CONSTANTS, facts("Rocky", "8.10", python={}))["package_interpreter"] == "auto"


@pytest.mark.parametrize(
    "variables, release, extras",
    [
        ({}, {}, []),
        ({"worker_class": "gevent"}, {}, ["gevent==26.9.0"]),
        ({"worker_class": "gevent"}, {"python": "3.8"}, ["gevent==24.2.1"]),
        ({"worker_class": "gevent", "packages": ["gevent==24.2.1"]}, {}, []),
        ({"worker_class": "gevent", "packages": ["gevent-websocket"]}, {}, ["gevent==26.9.0"]),
        ({"threads": "2", "redis": True}, {}, ["django-redis", "omero-web[redis]"]),
        ({"threads": "2"}, {"method": "archive", "python": "2.7"}, ["futures"]),
        ({"worker_class": "gevent"}, {"method": "archive", "python": "2.7"}, ["gevent"]),
        ({"redis_url": "redis://a"}, {"method": "archive", "python": "2.7"}, ["django-redis"]),
    ],
)
def test_what_a_release_has_beside_packages_of_the_site(variables, release, extras):
    found = shipping(site(**variables), **release)
    assert found["extras"] == extras
    last = "gunicorn" if release.get("method") == "archive" else "omero-web==5.33.2"
    assert found["requirements"] == [*extras, last]


@pytest.mark.parametrize(
    "python, first", [("3.6", "pip==20.3.4"), ("2.7", "pip==20.3.4"), ("3.8", "setuptools==75.3.2")]
)
def test_icepy_is_built_with_what_the_python_can_run(python, first):
    assert shipping(site(), python=python)["ice_requirements"][0] == first


def test_pip_is_replaced_where_it_knows_no_wheels_of_today():
    assert shipping(site())["pip"] == []
    assert shipping(site(), facts("CentOS", "7.9"))["pip"] == ["pip==21.3.1"]
    assert shipping(site(), method="archive")["pip"][0] == "pip==20.3.4"


def test_a_release_is_another_one_when_anything_that_defines_it_changes():
    variables = [
        {}, {"packages": ["a"]}, {"apps": [{"package": "a", "name": "b"}]}, {"ice_wheel": "/a.whl"}, {"redis": True},
        {"ice_wheel_checksum": "sha256:00"}, {"config": {"omero.web.staticfile_dirs": ["a"]}}, {"brotli": False},
    ]  # fmt: skip
    sites = [site(**one) for one in variables]
    definitions = [wanted.definition_of(found, shipping(found), RELEASE, "") for found in sites]
    assert all(definitions.count(one) == 1 for one in definitions)
    archive = {**RELEASE, "method": "archive"}
    checksums = [site(archive_checksum=checksum) for checksum in ("sha256:00", "sha256:01")]
    archives = [wanted.definition_of(found, shipping(found), archive, "") for found in checksums]
    assert archives[0] != archives[1]
    pinned = [wanted.definition_of(site(), shipping(site()), RELEASE, constraints) for constraints in ("", "a", "b")]
    assert all(pinned.count(one) == 1 for one in pinned)
    assert definitions[0] == wanted.definition_of(site(threads=2), shipping(site()), RELEASE, "")


def test_releases_that_are_built_are_not_built_again():
    found = site()
    defines = {
        "recipe": 1, "release": "5.33.2", "python": "/usr/bin/python3 3.11", "packages": [], "ice_wheel": " ",
        "static": {"settings": {}, "append": {}}, "brotli": True,
    }  # fmt: skip
    assert wanted.definition_of(found, shipping(found), RELEASE, "") == defines
    # The SHA-256 of "a", and of nothing else.
    digest = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    archive = wanted.definition_of(found, shipping(found), {**RELEASE, "method": "archive"}, "a")
    assert archive == {**defines, "checksum": "", "constraints": digest}


@pytest.mark.parametrize(
    "packages, left",
    [
        ([], ["Django<3.2.19", "django-redis==4.12.1; python_version < '3.9'"]),
        (["django", "Django-Pipeline==2.0.7", "-e /opt/django==4"], None),
        (["Django<4"], ["django-redis==4.12.1; python_version < '3.9'"]),
        (["django @ https://example.org/django.zip", "django_redis[hiredis] >= 4; python_version > '3'"], []),
    ],
)
def test_pins_of_the_site_win_over_those_of_a_release(packages, left):
    constraints = "# Why.\nDjango<3.2.19\ndjango-redis==4.12.1; python_version < '3.9'"
    found = shipping(site(packages=packages), constraints=constraints)["constraints"]
    assert found == (shipping(site(), constraints=constraints)["constraints"] if left is None else left)


def test_pins_of_the_site_may_be_those_of_an_app():
    assert shipping(site(apps=[{"package": "django-a==2"}]), constraints="Django_A==1")["constraints"] == []


@pytest.mark.parametrize(
    "threads, series, is_set",
    [
        (1, {}, True),
        (1, {"unset": {"omero.web.wsgi_threads": 1}}, False),
        ("1", {"unset": {"omero.web.wsgi_threads": 1}}, False),
        # OMERO.web's own reason comes then.
        (4, {"unset": {"omero.web.wsgi_threads": 1}}, True),
    ],
)
def test_a_setting_that_a_release_refuses_is_left_out_at_its_default(threads, series, is_set):
    configuration = wanted.configuration_of(site(threads=threads), {**RELEASE, "series": series})
    assert ("omero.web.wsgi_threads" in configuration["settings"]) == is_set


def test_a_release_brings_what_it_does_not_say_it_needs():
    assert shipping(site(), series={"requirements": ["a"]})["requirements"] == ["omero-web==5.33.2", "a"]


def test_a_definition_has_no_credentials():
    found = site(packages=["https://me:hunter2@a.org/a.whl"], ice_wheel="https://a.org/b.whl?token=hunter2")
    assert "hunter2" not in str(wanted.definition_of(found, shipping(found), RELEASE, ""))


@pytest.mark.parametrize("systemd, expected", [(219, "CPUShares=2"), (231, "CPUShares=2"), (232, "CPUWeight=1")])
def test_a_build_gives_way(systemd, expected):
    assert wanted.build_properties(systemd)[:2] == ["Nice=19", expected]


@pytest.mark.parametrize(
    "manifests, prefix, former, leaves",
    [
        ([], "/new", [], []),
        ([{"prefix": "/old", "former_prefixes": ["", "/new"]}], "/new", ["", "/old"], ["/old"]),
        ([{"prefix": "/new", "former_prefixes": [""]}], "/new", [""], []),
        ([{"prefix": ""}], "/new", [""], [""]),
        # The first manifests did not say.
        ([{}], "/new", [], []),
    ],
)
def test_prefixes_that_a_site_had(manifests, prefix, former, leaves):
    generations = [{"number": number, "manifest": manifest} for number, manifest in enumerate(manifests, start=1)]
    found = wanted.moving_of({"current": len(manifests), "generations": generations}, prefix)
    assert found == {"former_prefixes": former, "leaves": leaves}


def test_packages_of_the_operating_system():
    assert whole(site(nginx=False))["packages"] == ["logrotate", "python3-venv"]
    brotli = ["brotli", "libnginx-mod-http-brotli-static"]
    everything = site(redis=True, tls_certificate="self-signed")
    assert whole(everything)["packages"] == ["logrotate", "python3-venv", "nginx", *brotli, "openssl", "redis-server"]
    assert whole(site(brotli=False))["packages"] == ["logrotate", "python3-venv", "nginx"]
    # A Python of the site's own is none of the operating system's.
    assert whole(site(nginx=False), interpreter="/opt/python")["packages"] == ["logrotate"]


@pytest.mark.parametrize(
    "variables, packages",
    [
        ({}, ["epel-release", "nginx"]),
        ({"redis": True}, ["epel-release", "nginx", "redis"]),
        ({"nginx": False, "redis": True}, ["epel-release", "redis"]),
        ({"nginx": False}, []),
    ],
)
def test_centos_7_has_nginx_and_redis_from_epel_alone(variables, packages):
    assert whole(site(**variables), facts("CentOS", "7.9"))["packages"] == ["logrotate", "python3", *packages]


@pytest.mark.parametrize(
    "system, variables, expected",
    [
        (("CentOS", "7.9"), {}, True),
        (("CentOS", "7.9"), {"archived_repositories": "no"}, False),
        (("CentOS", "8.5"), {}, False),
    ],
)
def test_repositories_that_are_gone(system, variables, expected):
    assert bool(whole(site(**variables), facts(*system))["gone_repositories"]) == expected


def test_a_generation_is_another_one_when_the_cores_are_others_where_workers_follow_from_them():
    for workers, same in ((0, False), (4, True)):
        parts = [wanted.parts_of(site(workers=workers), {"a": "b"}, RELEASE, {"cores": cores}) for cores in (2, 4)]
        assert (parts[0] == parts[1]) == same
    assert wanted.parts_of(site(), {"a": "b"}, RELEASE, LOOK) != wanted.parts_of(site(), {"a": "c"}, RELEASE, LOOK)


def test_files_of_nginx_are_a_part_of_a_generation_where_there_is_nginx():
    assert "nginx.conf" in wanted.generation_templates(site())
    assert wanted.nginx_files(site(nginx=False), CONSTANTS) == {}
    assert "nginx.conf" not in wanted.generation_templates(site(nginx=False))
    found = wanted.nginx_files(site(tls_certificate=CERTIFICATE, tls_key=KEY), CONSTANTS)
    assert found == {"nginx.conf": "/etc/nginx/conf.d/omero-web.conf", "tls.pem": "/etc/nginx/omero-web.pem"}


def test_sessions_in_redis_are_those_of_a_django():
    found = site(redis=True, django="5.2")
    assert found["secrets"]["omero.web.caches"]["default"]["KEY_PREFIX"] == "omero-web:django-5.2"
    configuration = wanted.configuration_of(found, RELEASE)
    assert configuration["settings"]["omero.web.static_root"] == "/opt/omero/web/releases/5.33.2-aa/static"
    assert configuration["secrets"] == found["secrets"]
    assert whole(found)["target"]["units"][0] == "omero-web-redis.service"


def test_what_a_user_is_to_find_is_of_a_generation():
    more = {"path": "/more/"}
    apps = [{"package": "omero-figure", "page": "/figure/"}, {"package": "omero-iviewer"}]
    public = {"omero.web.public.url_filter": "^/webgateway"}
    assert whole(site(apps=apps, trial_pages=[more], config=public))["pages"] == {
        "apps": ["/figure/"], "site": [more], "public_filter": "^/webgateway"
    }  # fmt: skip
    assert whole(site())["pages"] == {"apps": [], "site": [], "public_filter": ""}


@pytest.mark.parametrize(
    "variables, name, user",
    [
        ({"trial_user": "trial"}, "", None),
        ({"trial": "no"}, "", None),
        (
            {"trial": "yes", "trial_user": "trial", "trial_password": "hunter2", "trial_server": "2", "timeout": "3"},
            "the user trial",
            {
                "user": "trial",
                "password": "hunter2",
                "server": 2,
                "timeout": 120,
                "request_timeout": 8,
                "required": True,
            },
        ),
        (
            {"trial": True, "trial_required": "false", "trial_timeout": 99, "config": {"omero.web.wsgi_timeout": 7}},
            "the public user",
            {"user": "", "password": "", "server": 1, "timeout": 99, "request_timeout": 12, "required": False},
        ),
    ],
)
def test_as_whom_a_generation_is_tried(variables, name, user):
    one = site(**variables)
    assert whole(one)["tried_as"] == wanted.wanted_of_rollback(one, CONSTANTS, host(one))["tried_as"] == name
    assert wanted.user_of_trial(one) == user
    assert variables.get("trial_password", "") == one["hidden"]["omero_web_trial_password"]


def test_a_trial_makes_no_difference_to_a_generation():
    assert site()["digest"] == site(trial=True, trial_user="trial", trial_password="hunter2")["digest"]


def test_a_rollback_takes_nothing_of_a_site_that_the_target_has():
    found = wanted.wanted_of_rollback(site(generation="7"), CONSTANTS, host(site()))
    assert found["generation"] == 7
    assert not {"links", "sessions", "contents", "parts"} & set(found)
    assert (found["target"]["address"], found["target"]["socket"]) == ("", "")


@pytest.mark.parametrize(
    "server_names, allowed_hosts, name",
    [
        (["$hostname"], ["*"], "node"),
        (["omero.example.org", "b.example.org"], ["*"], "omero.example.org"),
        (["_", "*.example.org", "~^www", "omero.example.org"], ["*"], "omero.example.org"),
        (["$hostname"], ["omero.example.org", "b.example.org"], "omero.example.org"),
        (["$hostname"], '["omero.example.org"]', "omero.example.org"),
        (["$hostname"], [".example.org"], "example.org"),
        (["a.example.org", "b.example.com"], ["b.example.com"], "b.example.com"),
        (["a.example.org", "B.example.com"], [".Example.com"], "B.example.com"),
        # Misspelt: users would get no page either.
        (["omero.example.org"], ["omreo.example.org"], "omero.example.org"),
        (["$hostname"], "no JSON", "node"),
        (["$hostname"], None, "node"),
    ],
)
def test_site_name(server_names, allowed_hosts, name):
    assert wanted.site_name(server_names, allowed_hosts, "node") == name


def test_node_that_has_no_name_for_a_url():
    assert wanted.site_name(["$hostname"], ["*"], "my_host") == "localhost"


# --- what Ansible sees ------------------------------------------------------------------------------------------------


def test_values_from_a_vault_are_plain_text():
    secret = VaultSecret(b"key")
    encrypted = AnsibleVaultEncryptedUnicode.from_plaintext("hunter2", VaultLib([("default", secret)]), secret)
    encrypted.vault = VaultLib([("default", secret)])
    found = wanted.plain({"omero_web_secrets": {"omero.web.a": encrypted, "omero.web.b": [encrypted, 1, None, True]}})
    assert found == {"omero_web_secrets": {"omero.web.a": "hunter2", "omero.web.b": ["hunter2", 1, None, True]}}
    assert all(type(text) is str for text in (found["omero_web_secrets"]["omero.web.a"], *found))


def test_a_constant_is_evaluated_once():
    asked = []
    constants = wanted.Evaluated(lambda name: asked.append(name) or name.upper())
    assert [constants["a"], constants["a"]] == ["A", "A"]
    assert asked == ["a"]


# --- several hosts ----------------------------------------------------------------------------------------------------


def hosts(**names):
    return [
        {"name": name, "address": f"192.0.2.{number}", "port": 80, "server_names": known_as}
        for number, (name, known_as) in enumerate(names.items(), start=1)
    ]


def test_hosts_of_the_same_names_are_equal_to_users():
    found = wanted.upstreams_of(hosts(a=["omero.org"], b=["public.org"], c=["omero.org"]), "omeroweb")
    assert [(one["name"], one["server_names"], [server["name"] for server in one["servers"]]) for one in found] == [
        ("omeroweb", ["omero.org"], ["a", "c"]),
        ("omeroweb_1", ["public.org"], ["b"]),
    ]


def test_addresses_are_written_as_nginx_has_them():
    (one,) = wanted.upstreams_of([{"name": "a", "address": "2001:db8::1", "port": 81, "server_names": ["b"]}], "x")
    assert one["servers"] == [{"name": "a", "address": "[2001:db8::1]:81"}]


def one_of_many(cluster=None, **variables):
    cluster = {"balancers": ["192.0.2.9"], "has_tls": False, "redis": "192.0.2.8", **(cluster or {})}
    given = {**DEFAULTS, **{f"omero_web_{name}": value for name, value in variables.items()}}
    return wanted.as_one_of_many(given, cluster)


def test_hosts_believe_their_balancer_and_share_a_redis():
    found = one_of_many(redis_password="a/b@c%d", trusted_proxies=["192.0.2.7"])
    assert found["omero_web_balanced"]
    assert found["omero_web_trusted_proxies"] == ["192.0.2.7", "192.0.2.9"]
    assert found["omero_web_redis_url"] == "redis://:a%2Fb%40c%25d@192.0.2.8:6379/0"
    password = wanted.redis_of(found, CONSTANTS, "5.2")["password"]
    assert password == "a/b@c%d", "it survives the URL"


def test_what_the_site_says_itself_wins():
    found = one_of_many({"has_tls": True}, redis_url="redis://r:1/0", config={"omero.web.csrf_cookie_secure": False})
    assert found["omero_web_redis_url"] == "redis://r:1/0"
    secure = {"omero.web.session_cookie_secure": True, "omero.web.csrf_cookie_secure": False}
    assert found["omero_web_config"] == secure


def test_a_host_without_others_is_as_it_was():
    alone = one_of_many({"balancers": [], "redis": ""})
    assert alone == DEFAULTS
