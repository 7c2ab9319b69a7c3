"""Figures for Prometheus and for statsd."""

import json
import re
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT, wait_until

RULES = (PROJECT / "docs/monitoring/omero-web.rules.yml").read_text()
DASHBOARD = json.loads((PROJECT / "docs/monitoring/omero-web.dashboard.json").read_text())
ALERTS = (Path(__file__).parents[1] / "alerts.yml").read_text()
FILES = {
    "rules": "omero-web.rules.yml",
    "alerts": "alerts.yml",
    "dashboard": "dashboard.yml",
    "config": "prometheus.yml",
}


def expressions(alerts, dashboard):
    """All that is asked of Prometheus, as it is once Grafana has put its variables in."""
    queries = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    queries += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [query.replace("$__rate_interval", "5m").replace("$instance", ".*") for query in queries]


QUERIES = expressions(yaml.safe_load(RULES), DASHBOARD)
LISTENER = """
import socket, sys
listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
listener.bind(("127.0.0.1", 8125))
while True:
    print(listener.recv(4096).decode(), flush=True)
"""
# Those who do not come through nginx may ask for figures.
METRICS = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1]).read().decode())
"""


@pytest.fixture
def statsd(host):
    """Listen as a statsd on the host would; what it has been told so far."""
    host.check_output("systemd-run --collect --unit=statsd python3 -u -c %s", LISTENER)
    yield lambda: host.check_output("journalctl --quiet --output=cat --unit=statsd")
    host.check_output("systemctl stop statsd")


@pytest.fixture
def metrics(host, variables):
    """What Prometheus is told."""
    url = f"http://127.0.0.1:4080{variables['omero_web_prefix']}/django_prometheus/metrics"
    return lambda: host.check_output("python3 -c %s %s", METRICS, url)


@pytest.fixture
def answered(metrics):
    """How many pages all workers together have answered, as Prometheus is told."""
    pattern = r'(?m)^django_http_responses_total_by_status_total\{status="200"\} (\S+)$'
    return lambda: float(re.search(pattern, metrics())[1])


@pytest.fixture(scope="module")
def promtool(host):
    """Run Prometheus' own check in a directory that has these files."""
    there = "/var/tmp/promtool"
    host.check_output(
        f"mkdir {there} && cd {there} && apt-get download --quiet prometheus && "
        "dpkg-deb --fsys-tarfile prometheus_*.deb | tar --extract ./usr/bin/promtool"
    )

    def promtool(command, **files):
        for name, text in files.items():
            host.check_output("echo %s > %s", text, f"{there}/{FILES[name]}")
        return host.check_output(f"cd {there} && usr/bin/promtool {command}")

    yield promtool
    host.check_output(f"rm -r {there}")


def test_statsd_hears_of_requests(statsd, login):
    wait_until(lambda: login().status == 200 and "omero-web.gunicorn.request.status.200:1|c" in statsd())


def test_prometheus_hears_of_all_workers(answered, login):
    before = answered()
    for _ in range(20):
        login()
    # That it is asked itself counts from the next time on.
    assert answered() == before + 21


def test_alerts_and_dashboard_ask_for_what_there_is(ask, variables, metrics):
    assert ask(f"{variables['omero_web_prefix']}/omero_test_app/download/").status == 500, "for an exception to count"
    asked = {name for query in QUERIES for name in re.findall(r"\b[a-z_]\w*(?=\{)|\bdjango_\w+", query)}
    there = set(re.findall(r"(?m)^[a-z_]\w*(?=[{ ])", metrics()))
    assert "up" in asked
    # That one is Prometheus' own.
    assert asked - there == {"up"}


def test_alerts_are_as_prometheus_wants_them(promtool):
    rules = {"groups": [{"name": "dashboard", "rules": [{"record": "a:b", "expr": query} for query in QUERIES]}]}
    assert "3 rules found" in promtool("check rules omero-web.rules.yml", rules=RULES)
    promtool("check rules dashboard.yml", dashboard=json.dumps(rules))
    assert "SUCCESS" in promtool("test rules alerts.yml", rules=RULES, alerts=ALERTS)
    (config,) = re.findall(r"(?ms)^```yaml\n(rule_files: .*?)^```$", (PROJECT / "docs/production.md").read_text())
    assert "SUCCESS" in promtool("check config prometheus.yml", rules=RULES, config=config)


def test_prometheus_hears_nothing_of_the_time_before(host, answered, login):
    for _ in range(20):
        login()
    host.check_output("systemctl restart omero-web.target")
    wait_until(lambda: login().status == 200)
    assert answered() < 20
