"""What the role says of wrong variables: all of it at once, each in a sentence, and never a secret."""

import json
import os
import runpy
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible.parsing.yaml.objects import AnsibleVaultEncryptedUnicode

ROLE = Path(__file__).parents[2] / "roles/omero-web"
ENTRY_POINTS = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"].values()
SPEC = {name: option for entry_point in ENTRY_POINTS for name, option in entry_point["options"].items()}
ACTION = ROLE / "action_plugins/omero_web_arguments.py"
arguments = SimpleNamespace(**runpy.run_path(str(ACTION)))
SECRET = "hunter2"
PUBLIC = {"omero.web.public.enabled": True}
A_WORD = (
    "a word of at most 16 small letters and digits, such as public, but none of benchmark, boot, build, change, "
    "clearsessions, json, logs, probe, redis, web, or empty"
)


def problems(name, value):
    return list(arguments.problems_of_value(name, value, SPEC[name]))


def encrypted(text):
    secret = VaultSecret(b"key")
    return AnsibleVaultEncryptedUnicode.from_plaintext(text, VaultLib([("default", secret)]), secret)


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("omero_web_worker", "did you mean omero_web_workers?"),
        ("omero_web_perfix", "did you mean omero_web_prefix?"),
        ("omero_web_xyzzy", "variables named omero_web_* belong to it."),
    ],
)
def test_misspelt_variable(name, sentence):
    assert list(arguments.problems_of_names({name: 1}, SPEC)) == [
        f"{name} is not a variable of the role omero-web; {sentence}"
    ]


def test_variables_of_others_are_left_alone():
    assert not list(arguments.problems_of_names(["omero_server_release", "ansible_host", "omero_web_prefix"], SPEC))


@pytest.mark.parametrize("name", SPEC)
def test_defaults_are_right(name):
    assert problems(name, SPEC[name]["default"]) == []


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/srv",
        "/var",
        "/var/tmp",
        "/etc/x",
        "/home/x",
        "/tmp/x",
        "/usr/local/x",
        "/srv/../etc/x",
        "/srv/x/..",
        "/srv/a b",
    ]
    + ["/srv/x%i", "srv/x", "/srv/x/", "/run/user/0"],
)
def test_where_nobody_expects_the_service_to_write(path):
    assert problems("omero_web_writable_paths", [path]) == [
        f'omero_web_writable_paths[0] is "{path}"; it must be a directory such as /srv/omero-web-cache, of which none '
        "is the operating system's, in a home or in /tmp."
    ]


def test_environment_has_no_secret_and_nothing_of_the_roles_own():
    names = ("PATH", "LISTEN_FDS", "OMERODIR", "A-B", "1A")
    assert problems("omero_web_environment", dict.fromkeys(names, "")) == [
        f'omero_web_environment has the key "{name}", which is no name of a variable that is the site\'s; such a name '
        "is FACILITY_MODE."
        for name in names
    ]
    assert problems("omero_web_environment", {"API_PASSWORD": SECRET}) == [
        "omero_web_environment has API_PASSWORD, which has the name of a secret; everybody on the host may read it "
        "there, so give it in omero_web_secrets, which are never shown."
    ]


def test_constraints_are_on_variables_that_exist():
    elements = {f"{name}[]" for name, option in SPEC.items() if option["type"] == "list"}
    ends = {"list": "[].", "dict": "."}
    keys = {
        f"{name}{ends[option['type']]}{key}" for name, option in SPEC.items() for key in option.get("options", ())
    }
    assert set(arguments.CONSTRAINTS) <= set(SPEC) | elements | keys
    assert set(arguments.KEYS) <= set(SPEC)


@pytest.mark.parametrize(
    "name, value",
    [
        ("omero_web_release", "5.34.0rc1"),
        ("omero_web_status_report", "/srv/my reports/status.html"),
        ("omero_web_ice_wheel_checksum", "sha256:" + 64 * "a"),
        ("omero_web_packages", ["omero-figure==8.0.1"]),
        ("omero_web_benchmark_compare", [{}, {"worker_class": "gevent", "workers": "4"}, {"threads": 10}]),
        ("omero_web_benchmark_url", "http://[2001:db8::7]:8080"),
        ("omero_web_environment", {"FACILITY_MODE": '100% \\ "x" $HOME', "_x": ""}),
        ("omero_web_writable_paths", ["/srv/cache", "/var/lib/figure", "/data/..x/y"]),
        ("omero_web_after", ["remote-fs.target", "srv-cache.mount", "dev-disk-by\\x2dlabel-x.device"]),
        ("omero_web_os_packages", ["libstdc++6", "fonts-dejavu-core"]),
        ("omero_web_benchmark_concurrency", [1, "1000"]),
        ("omero_web_release", "5.4"),
        ("omero_web_release", "latest"),
        ("omero_web_config", {"omero.web.debug": True, "omero.web.server_list": [["a", 4064, "b"]], "Ice.IPv6": None}),
        ("omero_web_config_append", {"omero.web.apps": ["omero_figure"]}),
        ("omero_web_config_purge", "no"),
        (
            "omero_web_servers",
            [{"host": "omero.example.org", "name": "o"}, {"host": "::1", "name": "p", "port": "4064"}],
        ),
        ("omero_web_servers", [{"host": "wss://omero.example.org/omero-ws", "name": "websockets"}]),
        ("omero_web_servers", [{"host": "tcp://192.0.2.10:14063", "name": "plain"}]),
        ("omero_web_instance", "public"),
        ("omero_web_instance", "logs2" + 11 * "a"),
        ("omero_web_prefix", "/omero/web"),
        ("omero_web_redis_url", "redis://:hunter2@redis.example.org:6379/0"),
        ("omero_web_redis_url", "rediss://web:p%40ss@[::1]/1?ssl_cert_reqs=required"),
        ("omero_web_redis_url", "unix:///run/redis/redis.sock?db=0"),
        ("omero_web_http_port", "8080"),
        ("omero_web_trial_pages", [{"path": "/webclient/?show=project-1", "status": "302", "text": "Füße"}]),
        ("omero_web_apps", [{"package": "omero-figure", "page": "/figure/"}]),
        ("omero_web_pip_extra_args", encrypted("--index-url https://me:hunter2@pip.example.org")),
    ],
)
def test_right_values(name, value):
    assert problems(name, value) == []


@pytest.mark.parametrize(
    "values, sentence",
    [
        (
            {"omero_web_redis": "yes", "omero_web_redis_url": "redis://localhost"},
            "omero_web_redis and omero_web_redis_url are both set; sessions are kept in one Redis, so leave out one of "
            "them.",
        ),
        *(
            (
                {"omero_web_writable_paths": [path]},
                f"omero_web_writable_paths has {path}, and omero_web_basedir is /opt/omero/web, whose code is not "
                "the service's to write; name a directory elsewhere.",
            )
            for path in ("/opt/omero", "/opt/omero/web", "/opt/omero/web/releases")
        ),
        (
            {"omero_web_nginx": False, "omero_web_downloads_per_user": 2},
            "omero_web_downloads_per_user is 2, which nginx would see to, and omero_web_nginx is false; leave it out.",
        ),
        (
            {"omero_web_nginx": False, "omero_web_crawlers": False},
            "omero_web_crawlers is false, which nginx would tell them, and omero_web_nginx is false; let your own "
            "proxy answer /robots.txt, and leave omero_web_crawlers true.",
        ),
        (
            {"omero_web_redis": True, "omero_web_config": {"omero.web.caches": {}}},
            "omero_web_config has omero.web.caches, which follows from omero_web_redis; leave out one of them.",
        ),
        (
            {"omero_web_lock_file": "/l", "omero_web_packages": ["a==1", f"b @ https://me:{SECRET}@example.org/b.whl"]},
            "omero_web_lock_file is given, and the package b @ https://********@example.org/b.whl is on no package "
            "index, where it would be found again by its checksum; put it on one, or leave out omero_web_lock_file.",
        ),
        (
            {"omero_web_lock_file": "/l", "omero_web_apps": [{"package": "-e /srv/a"}]},
            "omero_web_lock_file is given, and the package -e /srv/a is on no package index, where it would be found "
            "again by its checksum; put it on one, or leave out omero_web_lock_file.",
        ),
        (
            {"omero_web_offline": True, "omero_web_pip_extra_args": "-e git+https://example.org/a.git"},
            "omero_web_offline is true, and omero_web_packages or omero_web_pip_extra_args has an editable package "
            "(-e), which no bundle has; give the package itself.",
        ),
        (
            {"omero_web_offline": "yes", "omero_web_bundle": "/b.tar"},
            "omero_web_bundle is given and no omero_web_bundle_signers, by which its signature is verified; give both.",
        ),
        (
            {"omero_web_tls_certificate": "self-signed", "omero_web_http_port": "443"},
            "omero_web_http_port and omero_web_https_port are both 443; set one of them to another port.",
        ),
        (
            {"omero_web_pip_extra_args": f"--no-cache --proxy=http://me:{SECRET}@proxy.example.org"},
            "omero_web_pip_extra_args has a --proxy with credentials, which everybody sees in pip's command line; give "
            "it in pip's own configuration, /etc/pip.conf.",
        ),
        (
            {"omero_web_trial": True},
            "omero_web_trial is true and there is nobody to try as; give omero_web_trial_user and "
            "omero_web_trial_password, or set omero.web.public.enabled in omero_web_config.",
        ),
        (
            {
                "omero_web_trial": True,
                "omero_web_trial_user": "trial",
                "omero_web_trial_password": SECRET,
                "omero_web_timeout": "120",
            },
            "omero_web_trial_timeout is 120 and omero_web_timeout 120, which one answer may take; give a trial more "
            "time than that.",
        ),
        (
            {"omero_web_trial": True, "omero_web_trial_user": "trial"},
            "omero_web_trial_user is given and no omero_web_trial_password for it; give both.",
        ),
        (
            {"omero_web_trial_password": SECRET},
            "omero_web_trial_password is given and no omero_web_trial_user for it; give both.",
        ),
        (
            {"omero_web_benchmark_user": "ann"},
            "omero_web_benchmark_user is given and no omero_web_benchmark_password for it; give both.",
        ),
        (
            {"omero_web_benchmark_password": SECRET},
            "omero_web_benchmark_password is given and no omero_web_benchmark_user for it; give both.",
        ),
        (
            {"omero_web_benchmark_images": [7], "omero_web_config": {"omero.web.public.enabled": False}},
            "omero_web_benchmark_images is given and there is nobody to see them; give omero_web_benchmark_user and "
            "omero_web_benchmark_password, or set omero.web.public.enabled in omero_web_config.",
        ),
        (
            {"omero_web_benchmark_compare": [{"threads": 2}, {"worker_class": "gevent", "threads": "2"}]},
            "omero_web_benchmark_compare[1] has the worker_class gevent, whose workers have no threads; leave out its "
            "threads.",
        ),
        (
            {"omero_web_nginx": False, "omero_web_trusted_proxies": ["192.0.2.1", "192.0.2.0/24"]},
            "omero_web_trusted_proxies has the network 192.0.2.0/24, and omero_web_nginx is false; not every gunicorn "
            "knows networks, so give the address of each proxy.",
        ),
        (
            {"omero_web_image_cache": True, "omero_web_config": {"omero.web.public.enabled": False}},
            "omero_web_image_cache is for what everybody may see, and nobody sees anything without logging in; set "
            "omero.web.public.enabled in omero_web_config, or leave out omero_web_image_cache.",
        ),
        (
            {"omero_web_image_cache": True, "omero_web_config": PUBLIC, "omero_web_nginx": False},
            "omero_web_image_cache is for nginx, and omero_web_nginx is false; leave out omero_web_image_cache.",
        ),
        (
            {
                "omero_web_image_cache": "yes",
                "omero_web_config_purge": False,
                "omero_web_config": {"omero.web.session_cookie_name": "my-session"},
            },
            'omero_web_image_cache is true and omero.web.session_cookie_name is "my-session", which nginx has no '
            "variable for; give the cookie a name of letters, digits and underscores.",
        ),
        (
            {"omero_web_worker_class": "gevent", "omero_web_threads": 20},
            "omero_web_threads is 20, and omero_web_worker_class is gevent, whose workers have no threads; "
            "leave out one of them.",
        ),
        (
            {"omero_web_former": {"address": "127.0.0.1:4080"}},
            "omero_web_former has no site; playbooks/adopt.yml writes all of it.",
        ),
        (
            {
                "omero_web_former": {"address": "127.0.0.1:4080", "site": "/etc/nginx/conf.d/omeroweb.conf"},
                "omero_web_nginx": False,
            },
            "omero_web_former is for sites behind an nginx of the role's, and omero_web_nginx is false; take away what "
            "is there, and leave out omero_web_former.",
        ),
    ],
)
def test_values_that_do_not_go_together(values, sentence):
    defaults = {name: option["default"] for name, option in SPEC.items()}
    assert list(arguments.problems_of_combinations(defaults)) == []
    assert list(arguments.problems_of_combinations({**defaults, **values})) == [sentence]


@pytest.mark.parametrize(
    "origin",
    ["http://portal.example.org", "portal.example.org", "https://portal.example.org/", "https://*", "https://*.org",
     "https://a.org; script-src *", "*", "https://a.org b.org", "https://[::1]", ""],
)  # fmt: skip
def test_what_is_no_origin(origin):
    good = ["https://portal.example.org", "https://a:8443", "https://*.example.org", "https://192.0.2.1"]
    assert problems("omero_web_embedded_in", [*good, origin]) == [
        f'omero_web_embedded_in[4] is "{origin}"; it must be an origin with TLS and no path, such as '
        "https://portal.example.org, or https://*.example.org for all below it."
    ]


NO_TLS = (
    "omero_web_embedded_in is given, and the site has no TLS, without which a browser keeps no cookie in a frame; set "
    "omero_web_tls_certificate or, where a proxy before the host has the TLS, omero.web.session_cookie_secure and "
    "omero.web.csrf_cookie_secure in omero_web_config."
)
SECURE = {"omero.web.session_cookie_secure": "true", "omero.web.csrf_cookie_secure": True}


@pytest.mark.parametrize(
    "values, has_tls_before, sentences",
    [
        ({}, False, [NO_TLS]),
        ({}, True, []),
        ({"omero_web_tls_certificate": "self-signed"}, False, []),
        ({"omero_web_config": SECURE}, False, []),
        ({"omero_web_config": {**SECURE, "omero.web.csrf_cookie_secure": "no"}}, False, [NO_TLS]),
        ({"omero_web_release": "latest"}, True, []),
        ({"omero_web_release": "5.21.0"}, True, []),
        (
            {"omero_web_release": "5.9.2"},
            True,
            [
                "omero_web_release is 5.9.2, with which nobody could log in in a frame; omero_web_embedded_in takes "
                "OMERO.web 5.21.0 or newer."
            ],
        ),
        (
            {"omero_web_nginx": False},
            True,
            ["omero_web_embedded_in is for nginx, and omero_web_nginx is false; see to it in your own proxy."],
        ),
        (
            {"omero_web_config": {"omero.web.x_frame_options": "DENY"}},
            True,
            ["omero_web_config has omero.web.x_frame_options"],
        ),
        (
            {"omero_web_headers": {"X-frame-options": "DENY", "Content-Security-Policy": "img-src 'self'"}},
            True,
            ["omero_web_headers has X-frame-options"],
        ),
        (
            {"omero_web_headers": {"content-security-policy": "img-src 'self'; Frame-Ancestors 'none'"}},
            True,
            ["omero_web_headers has content-security-policy with frame-ancestors"],
        ),
    ],
)  # fmt: skip
def test_what_keeps_a_site_out_of_frames(values, has_tls_before, sentences):
    defaults = {name: option["default"] for name, option in SPEC.items()}
    cluster = {"host": "web-1", "roles": ["omero_web"], "peers": 1, "balancers": [], "no_addresses": [],
               "has_tls": has_tls_before, "redis": ""}  # fmt: skip
    assert list(arguments.problems_of_cluster({**defaults, **values}, cluster)) == []
    given = {**defaults, "omero_web_embedded_in": ["https://portal.example.org"], **values}
    found = list(arguments.problems_of_cluster(given, cluster))
    end = ", which follows from omero_web_embedded_in; leave out one of them."
    assert [problem.removesuffix(end) for problem in found] == sentences


@pytest.mark.parametrize("name", ["omero_web_trial", "omero_web_image_cache"])
@pytest.mark.parametrize(
    "values, is_there",
    [
        ({}, False),
        ({"omero_web_config": PUBLIC}, True),
        ({"omero_web_config": {"omero.web.public.enabled": "true"}}, True),
        ({"omero_web_config": {"omero.web.public.enabled": 1}}, True),
        # OMERO.web takes it for false.
        ({"omero_web_config": {"omero.web.public.enabled": "yes"}}, False),
        ({"omero_web_apps": [{"package": "some-app", "settings": PUBLIC}]}, True),
        ({"omero_web_config_purge": False}, True),
        ({"omero_web_config_purge": False, "omero_web_config": {"omero.web.public.enabled": False}}, False),
    ],
)
def test_what_needs_the_public_user(name, values, is_there):
    defaults = {name: option["default"] for name, option in SPEC.items()}
    problems = list(arguments.problems_of_combinations({**defaults, name: True, **values}))
    assert (problems == []) == is_there


@pytest.mark.parametrize(
    "name, value, shown, expected",
    [
        ("omero_web_release", 5.30, "5.3", 'a version in quotes, such as "5.33.2", latest, or empty'),
        *(
            (
                "omero_web_environment",
                value,
                "a dictionary",
                'a dictionary of texts of one line, such as {FACILITY_MODE: "1"}',
            )
            for value in ({"A": 1}, {"A": "a\nExecStart=/bin/sh"}, {"A": None})
        ),
        ("omero_web_uid", -1, "-1", "a whole number from 0 to 2147483647"),
        ("omero_web_release", "newest", '"newest"', 'a version in quotes, such as "5.33.2", latest, or empty'),
        (
            "omero_web_download_url",
            "mirror.example.org",
            '"mirror.example.org"',
            "a URL without credentials, such as https://downloads.openmicroscopy.org",
        ),
        (
            "omero_web_download_url",
            f"https://me:{SECRET}@mirror.example.org",
            "text",
            "a URL without credentials, such as https://downloads.openmicroscopy.org",
        ),
        ("omero_web_archive_checksum", "abc", '"abc"', "sha256: and 64 hexadecimal digits, or empty"),
        ("omero_web_packages", "omero-figure", "text", "a list"),
        ("omero_web_pip_extra_args", ["--no-cache"], "a list", "text; put it in quotes"),
        ("omero_web_ice_wheel_checksum", "abc", '"abc"', "sha256: and 64 hexadecimal digits, or empty"),
        ("omero_web_config", ["omero.web.debug"], "a list", "a dictionary"),
        ("omero_web_config", "omero.web.debug=true", "text", "a dictionary"),
        (
            "omero_web_config_append",
            {"omero.web.apps": "omero_figure"},
            "a dictionary",
            "a dictionary of lists, such as {omero.web.apps: [omero_figure]}",
        ),
        ("omero_web_config_purge", "perhaps", '"perhaps"', "true or false"),
        ("omero_web_servers", {"host": "a", "name": "b"}, "a dictionary", "a list"),
        (
            "omero_web_redis_url",
            "redis.example.org:6379",
            "text",
            "a URL as redis://:password@host:6379/0, rediss://… or unix:///path?db=0, or empty",
        ),
        *(("omero_web_instance", name, f'"{name}"', A_WORD) for name in ("Public", "my-site", "2nd", "a_b", 17 * "a")),
        *(("omero_web_instance", name, f'"{name}"', A_WORD) for name in ("probe", "boot", "redis", "web", "json")),
        ("omero_web_instance", "benchmark", '"benchmark"', A_WORD),
        ("omero_web_benchmark_concurrency", [], "a list", "a list of at least one number"),
        ("omero_web_benchmark_requests", 0, "0", "a whole number, 1 or more"),
        ("omero_web_benchmark_rate", "301", '"301"', "a number from 0 to 300"),
        ("omero_web_benchmark_patience", 0, "0", "a number, more than 0"),
        (
            "omero_web_benchmark_url",
            "https://omero.example.org/omero",
            '"https://omero.example.org/omero"',
            "a URL without a path, such as https://omero.example.org, or empty",
        ),
        ("omero_web_prefix", "omero", '"omero"', "a path such as /omero, without a slash at its end, or empty"),
        ("omero_web_prefix", "/omero/", '"/omero/"', "a path such as /omero, without a slash at its end, or empty"),
        ("omero_web_worker_class", "eventlet", '"eventlet"', "one of sync, gevent"),
        ("omero_web_workers", -1, "-1", "a whole number, 0 or more"),
        ("omero_web_status_report", "status", '"status"', "a path that ends in .html, or empty"),
        ("omero_web_status_report", "/srv/.html", '"/srv/.html"', "a path that ends in .html, or empty"),
        ("omero_web_workers", 2.5, "2.5", "a whole number, 0 or more"),
        ("omero_web_workers", True, "true", "a whole number, 0 or more"),
        ("omero_web_workers", "", '""', "a whole number, 0 or more"),
        ("omero_web_workers", None, "empty", "a whole number, 0 or more"),
        ("omero_web_basedir", "opt/web", '"opt/web"', "an absolute path, such as /opt/omero/web"),
        ("omero_web_user", "root", '"root"', "the name of a user other than root"),
        ("omero_web_keep_generations", 21, "21", "a whole number from 1 to 20"),
        ("omero_web_http_port", "65536", '"65536"', "a whole number from 1 to 65535"),
        ("omero_web_server_names", [], "a list", "a list of at least one name"),
    ],
)
def test_wrong_value(name, value, shown, expected):
    assert problems(name, value) == [f"{name} is {shown}; it must be {expected}."]


FORMER = {"unit": "omero-web.service", "address": "127.0.0.1:4080", "site": "/etc/nginx/conf.d/omeroweb.conf"}


@pytest.mark.parametrize(
    "key, value, expected",
    [
        ("unit", "a b.service", "the name of a service, as omero-web.service, or empty"),
        ("unit", "nginx", "the name of a service, as omero-web.service, or empty"),
        ("address", "4080", "an address and a port, such as 127.0.0.1:4080"),
        ("site", "/etc/passwd", "the path of a file below /etc/nginx"),
        ("sessions", "tmp", "the path of a directory, or empty"),
        ("site", "/etc/nginx/../passwd", "the path of a file below /etc/nginx"),
        ("cookie", "a b", "the name of a cookie, such as sessionid"),
        ("django", "5", 'a version in quotes, such as "5.2", or empty'),
    ],
)
def test_wrong_value_of_a_former_omero_web(key, value, expected):
    assert problems("omero_web_former", FORMER) == []
    assert problems("omero_web_former", {**FORMER, key: value}) == [
        f"omero_web_former.{key} is \"{value}\"; it must be {expected}."
    ]


def test_key_that_is_no_property():
    assert problems("omero_web_config", {"omero.web.debug": True, "debug": True}) == [
        'omero_web_config has the key "debug", which is no OMERO property; a property is dotted, as omero.web.debug.'
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_address_of_the_application_server(host):
    properties = {"omero.web.application_server.host": host, "omero.web.application_server.port": 4090}
    assert problems("omero_web_config", properties) == []


@pytest.mark.parametrize(
    "key, value, expected",
    [
        ("host", "localhost", "an address of the host, such as 127.0.0.1, 0.0.0.0 or ::1"),
        ("host", "fe80::1%eth0", "an address of the host, such as 127.0.0.1, 0.0.0.0 or ::1"),
        ("host", "127.0.0.1:4080", "an address of the host, such as 127.0.0.1, 0.0.0.0 or ::1"),
        ("port", "http", "a whole number from 1 to 65535"),
        ("port", 65536, "a whole number from 1 to 65535"),
    ],
)
def test_what_systemd_cannot_listen_on(key, value, expected):
    property_name = f"omero.web.application_server.{key}"
    assert problems("omero_web_config", {property_name: value}) == [
        f"omero_web_config has {property_name}: {json.dumps(value)}; it must be {expected}."
    ]


@pytest.mark.parametrize(
    "name, properties, reason",
    [
        ("omero_web_config", {"omero.web.public.password": SECRET}, "has the name of a secret"),
        ("omero_web_config", {"omero.web.caches": {"a": {"PASSWORD": SECRET}}}, "has a secret inside its value"),
        ("omero_web_config_append", {"omero.web.x": [{"token": SECRET}]}, "has a secret inside its value"),
    ],
)
def test_secret_among_what_anyone_may_see(name, properties, reason):
    (key,) = properties
    assert problems(name, properties) == [
        f"{name} has {key}, which {reason}; give it in omero_web_secrets, which are never shown."
    ]
    assert problems("omero_web_secrets", properties) == []


def test_wrong_elements_are_told_by_their_place():
    assert problems("omero_web_packages", ["omero-figure", 8]) == [
        "omero_web_packages[1] is 8; it must be text; put it in quotes."
    ]
    servers = [{"host": "a", "name": "b"}, {"host": "a b", "port": 0, "password": SECRET}]
    assert problems("omero_web_servers", servers) == [
        "omero_web_servers[1] has the key password; the keys that it may have are host, port, name.",
        'omero_web_servers[1].host is "a b"; it must be a host name, an address, or a URL such as '
        "wss://omero.example.org/omero-ws (or ws, ssl, tcp).",
        "omero_web_servers[1].port is 0; it must be a whole number from 1 to 65535.",
        "omero_web_servers[1] has no name; give it one.",
    ]


@pytest.mark.parametrize(
    "name, value",
    [
        ("omero_web_secrets", f"omero.web.public.password={SECRET}"),
        ("omero_web_secrets", [SECRET]),
        ("omero_web_secrets", {f"omero.web.public.password {SECRET}": None}),
        ("omero_web_config", f"omero.web.public.password: {SECRET}"),
        ("omero_web_packages", f"git+https://me:{SECRET}@git.example.org/app"),
        ("omero_web_servers", [SECRET]),
        ("omero_web_prefix", f"https://me:{SECRET}@example.org"),
        ("omero_web_prefix", encrypted(SECRET)),
    ],
)
def test_secrets_are_not_shown(name, value):
    found = problems(name, value)
    assert len(found) == 1
    assert SECRET not in found[0]


@pytest.fixture
def run(tmp_path):
    """Run the action with some variables, as talkative as Ansible gets, and return how that ended and all it said."""

    def run(variables):
        role = {"name": str(ROLE), "tasks_from": "check-variables", "rolespec_validate": False}
        task = {"ansible.builtin.import_role": role}
        playbook, extra_vars = tmp_path / "playbook.yml", tmp_path / "variables.json"
        playbook.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
        extra_vars.write_text(json.dumps(variables))
        done = subprocess.run(
            ["ansible-playbook", "-vvv", "-i", "localhost,", "-c", "local", playbook, "-e", f"@{extra_vars}"],
            capture_output=True,
            text=True,
            env={**os.environ, "ANSIBLE_ACTION_PLUGINS": str(ACTION.parent), "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"},
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_run_with_right_variables(run):
    code, output = run({"omero_web_workers": "{{ cores * 2 }}", "cores": 2, "omero_web_secrets": {"omero.x": SECRET}})
    assert code == 0, output
    assert SECRET not in output


def test_run_refuses_what_no_nginx_could_do(run):
    code, output = run({"omero_web_nginx": "no", "omero_web_downloads": False})
    assert code == 2, output
    sentence = "omero_web_downloads is false, which nginx would see to, and omero_web_nginx is false"
    assert sentence in " ".join(output.split())
    assert "NoneType" not in output, "no exception is announced"


def test_run_says_all_that_is_wrong_at_once_and_no_secret(run):
    code, output = run(
        {
            "omero_web_worker": 9,
            "omero_web_workers": "many",
            "omero_web_secrets": "{{ site_secrets }}",
            "site_secrets": {"omero.web.public.password": SECRET, "omero.web.email_host_password": "{{ vaulted }}"},
            "omero_web_wsgi_args": SECRET + "{{ never closed",
            "omero_web_prefix": "{{ '" + SECRET + "' | no_such_filter }}",
        }
    )
    assert code == 2, output
    assert SECRET not in output
    for sentence in (
        "omero_web_worker is not a variable of the role omero-web; did you mean omero_web_workers?",
        'omero_web_workers is "many"; it must be a whole number, 0 or more.',
        "omero_web_secrets cannot be evaluated: 'vaulted' is undefined.",
        "omero_web_wsgi_args cannot be evaluated: its template is wrong",
        "omero_web_prefix cannot be evaluated: its template is wrong",
    ):
        assert sentence in output


# --- several hosts ----------------------------------------------------------------------------------------------------

FARM = {
    "host": "web-1",
    "roles": ["omero_web"],
    "peers": 2,
    "balancers": ["192.0.2.9"],
    "no_addresses": [],
    "has_tls": False,
    "redis": "192.0.2.8",
}
SHARED = {"omero_web_redis_password": "p", "omero_web_secrets": {"omero.web.secret_key": "k"}}
DEFAULT_VALUES = {name: option["default"] for name, option in SPEC.items()}


def problems_of_farm(farm=None, **values):
    return list(arguments.problems_of_cluster({**DEFAULT_VALUES, **SHARED, **values}, {**FARM, **(farm or {})}))


@pytest.mark.parametrize(
    "farm, values",
    [
        ({}, {}),
        ({"redis": ""}, {"omero_web_redis_url": "redis://r/0"}),
        ({"redis": ""}, {"omero_web_config": {"omero.web.session_engine": "own"}}),
        # One host has nobody to share with, and hosts without a balancer are sites of their own.
        ({"peers": 1, "redis": ""}, {"omero_web_secrets": {}}),
        ({"balancers": [], "redis": ""}, {"omero_web_secrets": {}}),
        ({"roles": ["omero_web_lb"]}, {"omero_web_tls_certificate": "/etc/ssl/certs/site.pem"}),
    ],
)
def test_farm(farm, values):
    assert problems_of_farm(farm, **values) == []


@pytest.mark.parametrize(
    "farm, values, sentence",
    [
        ({"roles": ["omero_web", "omero_web_lb"]}, {}, "web-1 is in the groups omero_web and omero_web_lb"),
        ({}, {"omero_web_redis_password": ""}, "omero_web_redis_password is empty, and the group omero_web_redis"),
        ({"redis": ""}, {}, "There is a balancer before 2 hosts, and sessions are kept in files"),
        ({"redis": ""}, {"omero_web_redis": True}, "and omero_web_redis is true, on each host its own"),
        ({"balancers": [], "redis": ""}, {"omero_web_balanced": True}, "sessions are kept in files"),
        ({}, {"omero_web_secrets": {}}, "give omero.web.secret_key in omero_web_secrets"),
        ({}, {"omero_web_tls_certificate": "self-signed"}, "give it to the group omero_web_lb"),
        ({"roles": ["omero_web_lb"]}, {"omero_web_tls_certificate": "self-signed"}, "give a balancer a certificate"),
        ({}, {"omero_web_nginx": False}, "omero_web_nginx is false, and the group omero_web_lb has a host"),
        ({}, {"omero_web_health_path": ""}, "omero_web_health_path is empty"),
        ({"balancers": ["lb"], "no_addresses": ["lb"]}, {}, "omero_web_address of a balancer is lb"),
    ],
)
def test_what_would_throw_users_out_is_refused(farm, values, sentence):
    (found,) = problems_of_farm(farm, **values)
    assert sentence in found


@pytest.mark.parametrize("value, is_good", [
    (1, True), ("3", True), ("25%", True), ([1, "50%"], True), ("100%", True),
    (0, False), ("0%", False), ("120%", False), ([], False), ("some", False), ([1, "x"], False),
])  # fmt: skip
def test_serial(value, is_good):
    assert (problems("omero_web_serial", value) == []) == is_good
