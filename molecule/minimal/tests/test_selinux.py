"""What the role tells SELinux, told to the policy of Debian, and what that allows by then. No kernel enforces it here.

The policy is the reference policy, from which that of Enterprise Linux is made, too, with many differences of its own.
"""

import json
import re

import pytest
from conftest import exhaustive

# It has the policy built anew for each thing that is told, which takes its time.
pytestmark = exhaustive
# With nginx, whose domain is httpd_t.
STATIC = "releases/5.33.2-04de2983/static/webclient/a.js.gz"
LABELS = {
    STATIC: "httpd_sys_content_t",
    "acme/.well-known/acme-challenge/token": "httpd_sys_content_t",
    "pages/maintenance.html": "httpd_sys_content_t",
    "self-signed.pem": "usr_t",
    "releases/5.33.2-04de2983/venv/bin/gunicorn": "bin_t",
    "releases/5.33.2-04de2983/venv/lib/python3.11/site-packages/IcePy.so": "lib_t",
    "releases/5.4.10-04de2983/OMERO.py/lib/python/omero/gateway.py": "lib_t",
    "generations/7/etc/grid/config.xml": "usr_t",
    "current": "usr_t",
    "var/django_secret_key": "usr_t",
    "var/sessions/django-5.2/one": "usr_t",
    "var/log": "var_log_t",
    "var/log/OMEROweb.log": "var_log_t",
    "/etc/nginx/conf.d/omero-web.conf": "httpd_config_t",
    "/etc/nginx/omero-web.pem": "httpd_config_t",
    "/etc/letsencrypt/live/omero.example.org/privkey.pem": "tls_privkey_t",
    "/var/cache/nginx/omero-web/one": "httpd_cache_t",
    "/var/log/nginx/omero-web.access.log": "httpd_log_t",
    "/usr/local/bin/omero-web": "bin_t",
    "/var/lib/redis/omero-web/dump.rdb": "redis_var_lib_t",
    "/run/omero-web-redis/redis.sock": "redis_runtime_t",
}
# In the middle of a range of others, and another's. That of OMERO.web, 4080, is not known to the policy.
PORTS = {"omero_web_http_port": 10005, "omero_web_https_port": 8081}
# Which rules let a domain do something with a type, and the boolean that each depends on: one process, for each reads
# the whole policy.
RULES = """
import json, sys
from setools import SELinuxPolicy, TERuleQuery
policy = SELinuxPolicy(sys.argv[1])
def conditional(rule):
    try:
        return str(rule.conditional)
    except AttributeError:
        return ""
def rules(source, target, tclass, permissions):
    found = TERuleQuery(policy, ruletype=["allow"], source=source, target=target, tclass=[tclass],
                        perms=permissions.split(), perms_subset=True)
    return sorted({conditional(rule) for rule in found.results()})
print(json.dumps([rules(*question) for question in json.loads(sys.argv[2])]))
"""


@pytest.fixture(scope="module")
def tell(play):
    """Tell the store what the role tells it; everything that was printed."""

    def tell():
        code, output = play("molecule/minimal/selinux.yml", ports=PORTS, omero_web_redis=True)
        assert code == 0, output
        return output

    return tell


@pytest.fixture(scope="module")
def policy(host, tell):
    """The policy by then, as a kernel would read it."""
    host.check_output("apt-get install --yes --no-install-recommends selinux-policy-default setools")
    tell()
    return host.check_output("ls /etc/selinux/default/policy/policy.*")


@pytest.fixture
def labels(host, policy, basedir):
    """Tell the types of paths, those without a slash before them below basedir."""

    def labels(*paths):
        full = [path if path[0] == "/" else f"{basedir}/{path}" for path in paths]
        found = host.check_output("matchpathcon -n " + " ".join(full))
        return [context.split(":")[2] for context in found.splitlines()]

    return labels


@pytest.fixture
def allowed(host, policy):
    """Tell by which booleans a domain may do something with a type, for each question; "" is by none."""
    return lambda *questions: json.loads(host.check_output("python3 -c %s %s %s", RULES, policy, json.dumps(questions)))


def test_a_second_run_has_nothing_to_tell(policy, tell):
    assert "changed=0" in tell()


@pytest.mark.parametrize("number", [4080, 8081, 10005])
def test_port_is_that_of_a_web_server(host, policy, number):
    own = host.check_output("semanage port -l -C -N").split("tcp")[1]
    assert str(number) in own.replace(",", "").split()
    assert f"tcp {number} system_u:object_r:http_port_t:" in host.check_output(f"seinfo --portcon={number} {policy}")


def test_nginx_listens_and_reaches_omero_web_by_one_boolean(allowed):
    listen, reach, others = allowed(
        ("httpd_t", "http_port_t", "tcp_socket", "name_bind"),
        ("httpd_t", "http_port_t", "tcp_socket", "name_connect"),
        ("httpd_t", "mysqld_port_t", "tcp_socket", "name_connect"),
    )
    assert "" in listen
    assert "httpd_can_network_relay" in reach
    # Without it, nginx would not get there, and by it, to no database.
    assert "" not in reach
    assert {"", "httpd_can_network_relay"}.isdisjoint(others)


def test_booleans(host, policy):
    """That of all systems is on; the policy knows those of CentOS 7."""
    own = host.check_output("semanage boolean -l -C -N")
    assert re.findall(r"(?m)^(\w+) +\((\w+)", own) == [("httpd_can_network_relay", "on")]
    known = host.check_output("semanage boolean -l -N")
    assert re.search(r"(?m)^httpd_enable_homedirs ", known)
    assert re.search(r"(?m)^httpd_read_user_content ", known)


def test_labels(labels):
    assert dict(zip(LABELS, labels(*LABELS), strict=True)) == LABELS


def test_nginx_reads_what_it_serves_and_not_the_log_of_omero_web(allowed, labels):
    served = labels(STATIC, "acme/token", "pages/maintenance.html", "self-signed.pem", "/etc/nginx/omero-web.pem")
    *read, log = allowed(*(("httpd_t", kind, "file", "open read") for kind in [*served, *labels("var/log/one")]))
    assert all("" in booleans for booleans in read)
    assert log == []


def test_logs_are_rotated(allowed, labels):
    assert allowed(("logrotate_t", *labels("var/log/OMEROweb.log"), "file", "rename create")) == [[""]]


def test_redis_makes_files_in_its_directory_and_no_socket(allowed):
    """As docs/production.md has it of Debian."""
    made = allowed(*(("redis_t", "redis_runtime_t", what, "create") for what in ("file", "sock_file")))
    assert made == [[""], []]
