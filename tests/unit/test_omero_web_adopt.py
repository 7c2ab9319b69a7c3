# -*- coding: utf-8 -*-
"""What is read off a host that has an OMERO.web from before the role, and the variables that follow from that."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import os
import pwd
import shutil
import tempfile

import pytest
from ansible.module_utils.omero_web_adopt import adopted, found_on_host, packages_in, properties_in, text_in
from ansible.module_utils.omero_web_host import Problem
from ansible.module_utils.omero_web_nginx_site import differences, parsed, sites_to
from ansible.module_utils.omero_web_systemd import Done

CONFIG = u"""<icegrid>
  <properties id="__ACTIVE__"><property name="omero.config.profile" value="default"/></properties>
  <properties id="other"><property name="omero.web.debug" value="true"/></properties>
  <properties id="default">
    <property name="omero.config.version" value="5.1.0"/>
    %s
  </properties>
</icegrid>
"""
GENERATED = u"""upstream omeroweb {
    server 127.0.0.1:4080 fail_timeout=0;
}
server {
    listen 80;
    server_name $hostname;
    sendfile on;
    client_max_body_size 0;
    # maintenance page serve from here
    location @maintenance {
        root /home/omero/OMERO.server/etc/templates/error;
        try_files $uri /maintainance.html =502;
    }
    location /static {
        alias /home/omero/OMERO.server/lib/python/omeroweb/static;
    }
    location @proxy_to_app {
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header Host $http_host;
        proxy_redirect off;
        proxy_buffering off;
        proxy_pass http://omeroweb;
    }
    location / {
        error_page 502 @maintenance;
        try_files $uri @proxy_to_app;
    }
}
"""
ADDRESS = ("127.0.0.1", 4080)


def properties(**values):
    return u"\n".join(u'<property name="%s" value="%s"/>' % (name.replace("__", "."), value)
                      for name, value in values.items())


# --- the site in nginx ------------------------------------------------------------------------------------------------


def site_of(text):
    (site,) = sites_to([("/etc/nginx/conf.d/omeroweb.conf", parsed(text))], ADDRESS)
    return site


def test_what_omero_web_generates_has_nothing_of_its_own():
    site = site_of(GENERATED)
    assert site["variables"] == {"omero_web_max_upload_mb": 0}
    assert differences(site, u"") == []


@pytest.mark.parametrize("old, new, difference", [
    ("sendfile on;", "sendfile on; gzip on;", "gzip on;"),
    ("proxy_redirect off;", "proxy_redirect off; proxy_read_timeout 300;",
     "in location @proxy_to_app, proxy_read_timeout 300;"),
    ("sendfile on;", "location = /robots.txt { return 200 \"Disallow: {}\"; }",
     "location = /robots.txt { return 200 \"Disallow: {}\"; }"),
    ("upstream", "map $uri $x { default 1; }\nupstream", "map $uri $x { default 1; }"),
    ("upstream", "server { listen 81; root /srv; }\nupstream", "server { listen 81; root /srv; }"),
])
def test_what_else_a_site_has(old, new, difference):
    assert differences(site_of(GENERATED.replace(old, new, 1)), u"") == [difference]


def test_what_the_settings_have_it_generate_is_no_difference():
    extra = u"location /about {\nreturn 200 here;\n}"
    assert differences(site_of(GENERATED.replace(u"sendfile on;", u"sendfile on;" + extra)), extra) == []


def test_a_site_of_tls():
    text = GENERATED.replace(u"listen 80;", u"listen 8443 ssl; listen [::]:8443 ssl;\nssl_certificate /etc/a.pem;\n"
                             u"ssl_certificate_key '/etc/a.key';")
    text = text.replace(u"$hostname", u"omero.example.org _").replace(u"size 0", u"size 2g")
    text += u"server { listen 8080; server_name _; location / { return 301 https://$host$request_uri; } }"
    site = site_of(text)
    assert site["variables"] == {
        "omero_web_http_port": 8080, "omero_web_https_port": 8443, "omero_web_server_names": ["omero.example.org"],
        "omero_web_tls_certificate": "/etc/a.pem", "omero_web_tls_key": "/etc/a.key", "omero_web_max_upload_mb": 2048,
    }
    assert differences(site, u"") == []


@pytest.mark.parametrize("text", [
    GENERATED.replace(u"4080", u"4090"),
    u"server { location / { proxy_pass http://elsewhere:4080; } }",
    u"server { location / {",
    u"}}}",
    u"{{{;;;\"",
    u"",
])
def test_what_is_no_site_of_it(text):
    assert sites_to([("a", parsed(text))], ADDRESS) == []


def test_a_site_without_an_upstream():
    assert site_of(u"server { listen 80; location / { proxy_pass http://localhost:4080/; } }")


# --- its configuration and its packages -------------------------------------------------------------------------------


def test_properties_of_the_profile_in_use():
    text = CONFIG % properties(omero__web__prefix=u"/omero")
    assert properties_in(text, "") == {"omero.web.prefix": "/omero"}
    assert properties_in(text, "other") == {"omero.web.debug": "true"}


@pytest.mark.parametrize("text, sentence", [
    (u"<icegrid>", "config.xml is damaged: no element found"),
    (u"", "config.xml is damaged: no element found"),
    (u'<!DOCTYPE a [<!ENTITY b "c">]><icegrid/>', "config.xml has a document type declaration"),
])
def test_a_configuration_that_is_none(text, sentence):
    with pytest.raises(Problem, match=sentence):
        properties_in(text, "")


def test_packages_and_those_that_others_need(tmp_path):
    for name, text in {
        "omero_figure-8.0.1.dist-info": "Requires-Dist: omero-web>=5.6\nRequires-Dist: Pillow (>=8)\n",
        "Django-1.8.19-py2.7.egg-info": "", "django_redis-5.4.0.dist-info": "Requires-Dist: redis>=3\n",
        "redis-5.0.dist-info": "", "nothing": "", "-x-1.dist-info": "",
    }.items():
        directory = tmp_path / "lib/python3.11/site-packages" / name
        directory.mkdir(parents=True)
        (directory / "METADATA").write_text(u"" + text)
    versions, needed = packages_in(str(tmp_path))
    assert versions == {"django": "1.8.19", "django-redis": "5.4.0", "omero-figure": "8.0.1", "redis": "5.0"}
    assert needed == {"omero-web", "pillow", "redis"}


def test_only_files_up_to_a_limit_are_read(tmp_path):
    os.mkfifo(str(tmp_path / "fifo"))
    (tmp_path / "large").write_text(u"x" * 1048577)
    (tmp_path / "bytes").write_bytes(b"\xff\x00a")
    assert [text_in(str(tmp_path), name) for name in ("fifo", "large", "", "none", "a\0b")] == [None] * 5
    assert text_in(str(tmp_path), "bytes") == u"\ufffd\0a"


# --- the host ---------------------------------------------------------------------------------------------------------


class FormerHost(object):
    """A host with files, and processes in a /proc of its own."""

    def __init__(self, top):
        self.top = top
        self.omerodir, self.venv = top + "/OMERO.web", top + "/venv3"
        self.put("etc/nginx/conf.d/omeroweb.conf", GENERATED)
        self.put("etc/nginx/sites-enabled/other", u"server { listen 81; }")
        self.put("OMERO.web/etc/grid/config.xml", CONFIG % properties(omero__web__prefix=u"/omero"))
        self.put("OMERO.web/var/django_secret_key", u"key\n")
        for name in "omero_web-5.33.2", "django-5.2.1":
            self.put("venv3/lib/python3.11/site-packages/%s.dist-info/METADATA" % name, u"")
        self.start(10, 1, ["sleep", "600"])
        self.start(100, 1, self.command(4080))
        self.start(101, 100, self.command(4080))
        self.shown = "MainPID=100\nExecStart={ path=/opt/web/start }\n"

    def command(self, port):
        return [self.venv + "/bin/python", self.venv + "/bin/gunicorn", "-D", "-p", self.omerodir + "/var/django.pid",
                "--bind", "127.0.0.1:%d" % port, "--workers", "5", "omeroweb.wsgi:application"]

    def put(self, path, text):
        path = os.path.join(self.top, path)
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        with open(path, "wb") as target:
            target.write(text.encode("utf-8"))

    def run(self, *command):
        """Be systemctl."""
        assert command[:2] == ("systemctl", "show")
        return Done(0, self.shown, "")

    def start(self, pid, parent, words, uid=None, unit=u"omero-web.service"):
        uid = pwd.getpwnam("nobody").pw_uid if uid is None else uid
        self.put("proc/%d/cmdline" % pid, u"".join(word + u"\0" for word in words))
        self.put("proc/%d/status" % pid, u"Name:\tx\nPPid:\t%d\nUid:\t%d\t0\t0\t0\n" % (parent, uid))
        self.put("proc/%d/environ" % pid, u"TMPDIR=/var/tmp\0A\0")
        self.put("proc/%d/cgroup" % pid, u"0::/system.slice/%s\n" % unit)

    def found(self, port=0):
        return found_on_host(port, self, proc=self.top + "/proc", nginx=self.top + "/etc/nginx")


@pytest.fixture
def host():
    if os.geteuid() != 0:
        pytest.skip("reads as another user, as root")
    # Where others than root can go.
    top = tempfile.mkdtemp(prefix="former-", dir="/tmp")
    os.chmod(top, 0o755)
    yield FormerHost(top)
    shutil.rmtree(top)


def test_what_is_found(host):
    found = host.found()
    assert (found["pid"], found["unit"], found["address"]) == (100, "omero-web.service", "127.0.0.1:4080")
    assert (found["omerodir"], found["venv"], found["user"]) == (host.omerodir, host.venv, "nobody")
    assert (found["release"], found["free_port"], found["tmpdir"]) == ("5.33.2", 4081, "/var/tmp")
    assert found["settings"] == {"omero.web.prefix": "/omero"}
    assert [site["path"] for site in found["sites"]] == [host.top + "/etc/nginx/conf.d/omeroweb.conf"]
    assert found["secret_key"] == "key"


@pytest.mark.parametrize("shown, unit", [
    ("MainPID=7\nExecStart={ path=/opt/omero/bin/omero }\n", "omero-web.service"),
    # A login, or cron.
    ("MainPID=7\nExecStart={ path=/usr/sbin/sshd }\n", ""),
    ("MainPID=1000\nExecStart={ path=/usr/sbin/cron }\n", ""),
    ("", ""),
])
def test_the_unit_that_runs_it(host, shown, unit):
    """What cron or a login has started must not take these along when it is ended."""
    host.shown = shown
    assert host.found()["unit"] == unit


def test_an_omero_py_of_an_archive(host):
    host.put("OMERO.web/lib/python/omero_version.py", u'omero_version="5.4.10-ice36-b105"\n')
    assert host.found()["release"] == "5.4.10"


def test_nothing_is_read_that_its_user_may_not_read(host):
    """Who may write there can lead to whatever root may read."""
    host.put("secret", CONFIG % properties(omero__web__prefix=u"/secret"))
    os.chmod(host.top + "/secret", 0o600)
    for path in "etc/grid/config.xml", "var/django_secret_key":
        os.unlink(os.path.join(host.omerodir, path))
        os.symlink(host.top + "/secret", os.path.join(host.omerodir, path))
    with pytest.raises(Problem, match="config.xml cannot be read as nobody"):
        host.found()
    os.unlink(os.path.join(host.omerodir, "etc/grid/config.xml"))
    host.put("OMERO.web/etc/grid/config.xml", CONFIG % u"")
    assert host.found()["secret_key"] == ""


def test_none_runs(host):
    shutil.rmtree(host.top + "/proc/100")
    shutil.rmtree(host.top + "/proc/101")
    with pytest.raises(Problem, match="no OMERO.web runs that is not the role's; start it"):
        host.found()


@pytest.mark.parametrize(
    "options", [{"unit": u"omero-web@7.service"}, {"unit": u"omero-web-public@1.service"}, {"uid": 0}])
def test_the_roles_own_and_roots_are_none(host, options):
    host.start(100, 1, host.command(4080), **options)
    with pytest.raises(Problem, match="no OMERO.web runs"):
        host.found()


def test_another_that_nginx_does_not_lead_to(host):
    host.start(200, 1, host.command(4090))
    assert host.found()["address"] == "127.0.0.1:4080"
    assert host.found(4090)["address"] == "127.0.0.1:4090"
    with pytest.raises(Problem, match="no OMERO.web runs that is not the role's at port 4070; start it"):
        host.found(4070)
    host.put("etc/nginx/conf.d/second.conf", GENERATED.replace(u"omeroweb", u"second").replace(u"4080", u"4090"))
    with pytest.raises(Problem, match="more than one OMERO.web runs that is not the role's, at 127.0.0.1:4080 and "
                                      "127.0.0.1:4090; say which by its port"):
        host.found()


# --- the variables ----------------------------------------------------------------------------------------------------


def known(**more):
    found = {
        "unit": "omero-web.service", "address": "127.0.0.1:4080", "user": "omero-web", "tmpdir": "/tmp",
        "has_own_mounts": False, "free_port": 4081, "settings": {}, "secret_key": "key", "release": "5.33.2",
        "packages": {"omero-web": "5.33.2", "django": "5.2.1", "pip": "23.0"}, "needed": ["django"],
        "sites": [site_of(GENERATED)],
    }
    return dict(found, **more)


def test_the_variables_of_an_omero_web_with_nothing_special():
    found = adopted(known())
    assert found == {
        "variables": {
            "omero_web_release": "5.33.2",
            "omero_web_former": {
                "unit": "omero-web.service", "address": "127.0.0.1:4080", "user": "omero-web", "django": "5.2",
                "site": "/etc/nginx/conf.d/omeroweb.conf", "sessions": "/tmp", "cookie": "sessionid"},
            "omero_web_max_upload_mb": 0,
            "omero_web_config": {"omero.web.application_server.port": 4081},
        },
        "secrets": {"omero.web.secret_key": "key"},
        "remarks": [],
    }


def test_settings():
    found = adopted(known(settings={
        "omero.web.prefix": u"/omero", "omero.web.wsgi_workers": u"7", "omero.web.wsgi_worker_class": u"gevent",
        "omero.web.server_list": u'[["a", 4064, "b"]]', "omero.web.login_logo": u"[no list",
        "omero.web.wsgi_timeout": u"x",
        "omero.web.application_server": u"wsgi-tcp", "omero.web.application_server.port": u"4080",
        "omero.web.static_root": u"/x", "omero.web.public.password": u"xyzzy", "omero.db.name": u"omero",
        "omero.web.caches": u'{"default": {"OPTIONS": {"PASSWORD": "xyzzy"}}}', u"omero.web.\u2028": u"",
        "omero.web.nginx_server_extra_config": u'["location /a {", "}"]',
    }))
    assert found["variables"]["omero_web_prefix"] == "/omero"
    assert found["variables"]["omero_web_workers"] == 7
    assert found["variables"]["omero_web_worker_class"] == "gevent"
    assert found["variables"]["omero_web_nginx_server"] == "location /a {\n}\n"
    assert found["variables"]["omero_web_config"] == {
        "omero.web.server_list": [["a", 4064, "b"]], "omero.web.login_logo": "[no list", "omero.web.wsgi_timeout": "x",
        "omero.web.application_server.port": 4081}
    assert found["secrets"] == {
        "omero.web.public.password": "xyzzy", "omero.web.caches": {"default": {"OPTIONS": {"PASSWORD": "xyzzy"}}},
        "omero.web.secret_key": "key"}
    assert found["remarks"] == [
        "These are no settings of OMERO.web's and are left out: omero.db.name, some with strange names.",
        "omero.web.static_root is left out: each release has its own static files.",
    ]


def test_apps_and_packages():
    packages = {"omero-web": "5.33.2", "omero-figure": "8.0.1", "django-redis": "5.4.0", "redis": "5.0", "wheel": "1"}
    settings = {"omero.web.apps": u'["omero_figure", "gone"]'}
    found = adopted(known(settings=settings, packages=packages, needed=["redis"]))
    assert found["variables"]["omero_web_apps"] == [
        {"name": "omero_figure", "package": "omero-figure==8.0.1"}, {"name": "gone", "package": "gone"}]
    assert found["variables"]["omero_web_packages"] == ["django-redis==5.4.0"]
    assert found["remarks"] == ["Which package has the app gone was not found: give it in omero_web_apps."]


@pytest.mark.parametrize("more, remark", [
    ({"user": "omero"}, "It runs as omero, and the role's as omero-web"),
    ({"unit": ""}, "No unit runs it: keep whatever starts it, such as cron, from doing so"),
    ({"sites": []}, "No site of nginx leads to it"),
    ({"has_own_mounts": True}, "Its sessions are where nobody else sees them"),
    ({"release": ""}, "Which release it is was not found"),
    ({"sites": [site_of(GENERATED.replace(u"sendfile", u"gzip on; sendfile"))]},
     "/etc/nginx/conf.d/omeroweb.conf has what the role does not know: gzip on;"),
    ({"sites": [site_of(GENERATED)] * 2}, "/etc/nginx/conf.d/omeroweb.conf leads to it as well, and stays as it is."),
])
def test_what_somebody_is_to_see_to(more, remark):
    (found,) = adopted(known(**more))["remarks"]
    assert found.startswith(remark)


def test_sessions_that_are_no_files():
    engine = "django.contrib.sessions.backends.cache"
    former = adopted(known(settings={"omero.web.session_engine": engine}))["variables"]["omero_web_former"]
    assert "sessions" not in former
