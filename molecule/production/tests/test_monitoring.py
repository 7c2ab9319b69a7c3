"""Figures for Prometheus and for statsd."""

import re

import pytest
from conftest import wait_until

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
def answered(host, variables):
    """How many pages all workers together have answered, as Prometheus is told."""
    pattern = r'(?m)^django_http_responses_total_by_status_total\{status="200"\} (\S+)$'
    url = f"http://127.0.0.1:4080{variables['omero_web_prefix']}/django_prometheus/metrics"
    return lambda: float(re.search(pattern, host.check_output("python3 -c %s %s", METRICS, url))[1])


def test_statsd_hears_of_requests(statsd, login):
    wait_until(lambda: login().status == 200 and "omero-web.gunicorn.request.status.200:1|c" in statsd())


def test_prometheus_hears_of_all_workers(answered, login):
    before = answered()
    for _ in range(20):
        login()
    # That it is asked itself counts from the next time on.
    assert answered() == before + 21


def test_prometheus_hears_nothing_of_the_time_before(host, answered, login):
    for _ in range(20):
        login()
    host.check_output("systemctl restart omero-web.target")
    wait_until(lambda: login().status == 200)
    assert answered() < 20
