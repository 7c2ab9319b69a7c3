"""How much a site serves, and how fast: measured by playbook on a real host, with few requests."""

import csv
import json
import os
import re
import signal

import pytest
from browser import browser_of
from conftest import exhaustive, on_a_busy_machine, wait_until

pytestmark = on_a_busy_machine
# All that a benchmark is not to touch, or to leave behind.
UNITS = "systemctl list-units --all --plain --no-legend 'omero-web*'"
FILES = (
    "ls -lAR --full-time /opt/omero/web/generations /etc/systemd/system /etc/nginx/conf.d /run/omero-web* | "
    "grep -v -e '^total' -e benchmark.lock; readlink /opt/omero/web/current; "
    "ls -A /opt/omero/web /run/systemd/system /opt/omero/web/var/sessions/*"
)
LEFT = "ls -d /opt/omero/web/benchmark /run/omero-web-benchmark /run/systemd/system/omero-web-benchmark*"
TRIAL = "systemctl is-active omero-web-benchmark.service"
ACCESS_LOG = "/var/log/nginx/omero-web.access.log"
FEW = {
    "omero_web_benchmark_confirm": True,
    "omero_web_benchmark_requests": 30,
    "omero_web_benchmark_seconds": 5,
    "omero_web_benchmark_concurrency": [1, 5],
    "omero_web_benchmark_rate": 100,
}
IMAGES = [1, 2]


@pytest.fixture
def reports(tmp_path):
    """Return the reports that were written, by the endings of their names."""
    return lambda: {path.suffix: path for path in tmp_path.iterdir()}


@pytest.fixture
def benchmark(play, tmp_path):
    """Measure the site, with few requests; the exit code and what was said."""

    def benchmark(**variables):
        code, output = play(
            "playbooks/benchmark.yml", omero_web_benchmark_directory=str(tmp_path), **{**FEW, **variables}
        )
        assert "Traceback" not in output
        return code, " ".join(output.split())

    return benchmark


@pytest.fixture
def access_log(host):
    """Tell what nginx has logged since the test began."""
    lines = int(host.check_output(f"wc -l < {ACCESS_LOG}"))
    return lambda: host.check_output(f"tail -n +{lines + 1} {ACCESS_LOG}")


@pytest.fixture
def as_researcher(passwords):
    return {
        "omero_web_benchmark_user": "researcher",
        "omero_web_benchmark_password": passwords["researcher"],
        "omero_web_benchmark_images": IMAGES,
    }


@pytest.fixture
def start_benchmark(start_play, tmp_path):
    """Start to measure the site; the process, which ends with the test."""
    started = []

    def start_benchmark(**variables):
        own = {"omero_web_benchmark_directory": str(tmp_path), "omero_web_benchmark_paths": ["/webclient/login/"]}
        started.append(start_play("playbooks/benchmark.yml", **{**FEW, **own, **variables}))
        return started[-1]

    yield start_benchmark
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate()


@pytest.fixture
def measuring(host):
    """Tell the id of the process that measures, which has the lock."""
    return lambda: int(json.loads(host.check_output("cat /run/omero-web-benchmark.lock"))["pid"])


def test_a_site_is_not_loaded_without_a_word_or_for_nothing(refused, access_log, tmp_path):
    refused(
        "A benchmark loads a site that has users; say -e omero_web_benchmark_confirm=true if operations-bookworm may "
        "be loaded now.",
        "playbooks/benchmark.yml",
        omero_web_benchmark_directory=str(tmp_path / "none"),
    )
    assert not (tmp_path / "none").exists()
    # Nor is it asked at all.
    assert access_log() == ""
    (tmp_path / "file").write_text("")
    refused(
        f"omero_web_benchmark_directory is {tmp_path}/file, which cannot be written: File exists.",
        "playbooks/benchmark.yml",
        **{**FEW, "omero_web_benchmark_directory": str(tmp_path / "file")},
    )


@pytest.fixture(scope="module")
def usual(play, tmp_path_factory):
    """What is measured by default: what was said, and the reports by the endings of their names."""
    directory = tmp_path_factory.mktemp("usual")
    code, output = play("playbooks/benchmark.yml", omero_web_benchmark_directory=str(directory), **FEW)
    assert code == 0, output
    return " ".join(output.split()), {path.suffix: path for path in directory.iterdir()}


def test_what_everybody_sees_is_measured_by_apache_bench(usual, host):
    output, reports = usual
    report = json.loads(reports[".json"].read_text())
    rows = report["rows"]
    steps = [(row["target"], row["tool"], row["concurrency"], row["rate"]) for row in rows]
    assert steps == [
        (target, tool, concurrency, rate)
        for target in ("login page", "API root", "static file")
        for tool, concurrency, rate in (("ab", 1, 0), ("ab", 5, 0), ("omero-web", 0, 100))
    ]
    for row in rows:
        assert (row["requests"], row["errors"]) == (30, 0)
        times = [row["percentiles"][name] for name in ("50", "90", "95", "99", "100")]
        assert times[0] > 0 and times == sorted(times)
        assert row["per_second"] == pytest.approx(30 / row["seconds"], rel=0.01)
    # The pages were asked for: what has been measured is what nginx has seen.
    assert int(host.check_output(f"grep -c 'GET /webclient/login/ HTTP/1.0. 200 .*ApacheBench' {ACCESS_LOG}")) >= 60
    lines = list(csv.DictReader(reports[".csv"].open()))
    assert [float(line["per_second"]) for line in lines] == [row["per_second"] for row in rows]
    assert f"login page: at most {report['says'][0].split()[4]} requests/s." in output
    assert str(reports[".html"]) in output.replace(" ", "")
    assert report["stopped"] == ""


def test_pictures_are_measured_as_a_user_sees_them_from_another_host(
    play, tmp_path, as_researcher, access_log, passwords, variables
):
    """The host is itself by another name, and so by its address."""
    inventory, reports_directory = tmp_path / "watcher.yml", tmp_path / "reports"
    known = {name: value for name, value in variables.items() if name.startswith("ansible_")}
    inventory.write_text(json.dumps({"watchers": {"hosts": {"watcher": known}}}))
    own = {"omero_web_benchmark_host": "watcher", "omero_web_benchmark_directory": str(reports_directory)}
    paths = {"omero_web_benchmark_paths": ["/webclient/userdata/"]}
    code, output = play("playbooks/benchmark.yml", "-i", str(inventory), **{**FEW, **own, **paths, **as_researcher})
    assert code == 0, output
    reports = {path.suffix: path for path in reports_directory.iterdir()}
    report = json.loads(reports[".json"].read_text())
    assert (report["from"], report["url"]) == ("watcher", f"http://{variables['ansible_host']}:80")
    assert [row["target"] for row in report["rows"][::3]] == ["/webclient/userdata/", "thumbnails", "planes"]
    assert all((row["requests"], row["errors"], row["tool"]) == (30, 0, "omero-web") for row in report["rows"])
    log = access_log()
    for path in ("/webgateway/render_thumbnail/%d/", "/webgateway/render_image/%d/0/0/"):
        for image in IMAGES:
            assert len(re.findall(rf"GET {path % image} HTTP/1\.0. 200 .*omero-web-benchmark", log)) == 45
    assert "POST /webclient/logout/" in log
    files = "".join(path.read_text() for path in reports.values())
    assert passwords["researcher"] not in output + files
    assert "sessionid" not in output + files


def test_a_report_is_seen_in_a_browser(usual, site):
    complaints = []
    with browser_of(site) as browser:
        for scheme, width, paper in (("light", 1280, "rgb(244, 245, 247)"), ("dark", 390, "rgb(18, 22, 28)")):
            page = browser.new_context(
                color_scheme=scheme, viewport={"width": width, "height": 800}
            ).new_page()
            page.on("console", lambda message: complaints.append(message.text))
            page.on("request", lambda request: complaints.append(request.url) if request.url[:5] != "file:" else None)
            page.goto(usual[1][".html"].as_uri())
            assert page.title() == "OMERO.web benchmark of operations-bookworm"
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
            # Nothing but tables, which scroll by themselves, is wider than the window.
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            charts = page.get_by_role("img")
            assert charts.count() == 6
            assert page.get_by_role("img", name="login page, requests/s").locator("rect").count() == 2
            times = page.get_by_role("img", name="login page: time of an answer, ms")
            assert times.locator("circle").count() == 6
            assert charts.first.bounding_box()["width"] > 300
            assert page.get_by_role("row").count() == 10
            assert page.get_by_text("at most").first.is_visible()
            # As wide as A4 is: on paper nothing scrolls.
            page.emulate_media(media="print")
            page.set_viewport_size({"width": 718, "height": 1000})
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
            assert page.locator("table").bounding_box()["width"] <= 718
    assert complaints == []


def test_errors_end_it(start_benchmark, reports, switch, as_researcher, access_log):
    """OMERO.server begins to refuse what is asked for."""
    plane = "/webgateway/render_image/1/2/0/"
    process = start_benchmark(
        **{**as_researcher, "omero_web_benchmark_images": [], "omero_web_benchmark_paths": [plane]},
        omero_web_benchmark_requests=5000,
        omero_web_benchmark_seconds=60,
    )
    wait_until(lambda: access_log().count(f"GET {plane}") > 20, 60)
    switch("refuse=renderCompressed")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    report = json.loads(reports()[".json"].read_text())
    (row,) = report["rows"]
    assert row["errors"] >= 10 and row["requests"] > 0
    count = f"{row['errors']} of {row['errors'] + row['requests']}"
    assert report["stopped"] == f"{count} requests for the {plane} failed at 1 at once (status 500)"
    assert f"Stopped before its end: {count} requests" in " ".join(output.split())


def test_a_site_that_slows_down_is_left_alone(start_benchmark, reports, host):
    """Its workers stand still, as if others needed all of the host."""
    process = start_benchmark(
        omero_web_benchmark_requests=100000,
        omero_web_benchmark_seconds=300,
        omero_web_benchmark_patience=1,
    )
    wait_until(lambda: host.run("pgrep -x ab").rc == 0, 60)
    control_group = host.check_output("systemctl show --property=ControlGroup --value omero-web@*.service")
    freezer = f"/sys/fs/cgroup{control_group}/cgroup.freeze"
    host.check_output("echo 1 > %s", freezer)
    try:
        output, _ = process.communicate(timeout=90)
    finally:
        host.check_output("echo 0 > %s", freezer)
    assert process.returncode == 0, output
    assert "Stopped before its end: the site no longer serves its users well: /healthz" in " ".join(output.split())
    assert host.run("pgrep -x ab").rc == 1
    assert json.loads(reports()[".json"].read_text())["stopped"].endswith("2 times in a row")


@exhaustive
def test_kinds_of_workers_are_compared_and_the_live_ones_are_left_alone(
    benchmark, reports, as_researcher, host, main_pid, log_in, who_is
):
    session = log_in()
    state, pid = [host.check_output(command) for command in (UNITS, FILES)], main_pid()
    children = host.check_output("pgrep -P %s", str(pid))
    log = host.check_output("stat --format='%i %s' /opt/omero/web/var/log/OMEROweb.log").split()
    code, output = benchmark(
        omero_web_benchmark_paths=["/webclient/login/"],
        omero_web_benchmark_compare=[{"workers": 1, "threads": 4}, {"worker_class": "gevent", "workers": 1}],
        omero_web_benchmark_concurrency=[5],
        **as_researcher,
    )
    assert code == 0, output
    report = json.loads(reports()[".json"].read_text())
    names = ["1 sync worker of 4 threads", "1 gevent worker"]
    assert [(kind["name"], kind["problem"]) for kind in report["kinds"]] == [(name, "") for name in names]
    assert all(kind["memory_mb"] > 30 for kind in report["kinds"])
    steps = [(row["kind"], row["target"]) for row in report["rows"] if row["kind"] and row["concurrency"] == 5]
    targets = ("/webclient/login/", "thumbnails", "planes")
    # Once in this order, and once in the other.
    assert steps == [(name, target) for name in (*names, *reversed(names)) for target in targets]
    assert not any(row["errors"] for row in report["rows"])
    verdict = rf"(Take )?({'|'.join(names)}) (will do: |\()|No advice on workers: two runs of the same differ"
    assert re.match(verdict, report["says"][0])
    assert all(f"MiB ({name})" in report["says"][0] for name in names)
    # What was live is so still, down to its processes; and nothing is left of the others.
    assert [host.check_output(command) for command in (UNITS, FILES)] == state
    assert (main_pid(), host.check_output("pgrep -P %s", str(pid))) == (pid, children)
    assert host.run(LEFT).stdout == ""
    assert who_is(session)
    assert host.check_output("stat --format=%i /opt/omero/web/var/log/OMEROweb.log") == log[0]
    added = host.check_output(f"tail --bytes=+{int(log[1]) + 1} /opt/omero/web/var/log/OMEROweb.log")
    who = set(re.findall(r"\(proc\.(\d+)\)", added))
    assert {int(one) for one in who} <= {int(pid), *map(int, children.split())}
    # The trials did run, as the journal has it.
    journal = host.check_output("journalctl --unit=omero-web-benchmark.service --output=cat")
    assert all(f"Using worker: {kind}" in journal for kind in ("gthread", "gevent"))


@pytest.fixture
def trial(start_benchmark, host):
    """A trial that runs, as others would long wait for its end; the playbook's process."""
    process = start_benchmark(
        omero_web_benchmark_requests=1000,
        omero_web_benchmark_seconds=1,
        omero_web_benchmark_timeout=600,
        omero_web_benchmark_concurrency=[1],
        omero_web_benchmark_compare=[{"workers": 2}, *({"threads": number} for number in range(2, 20))],
    )
    wait_until(lambda: host.run(TRIAL).rc == 0, 90)
    yield process
    host.run("systemctl stop omero-web-benchmark.service")


def is_gone(host):
    return host.run(TRIAL).rc != 0 and host.run(LEFT).stdout == ""


def test_a_trial_ends_with_the_run_that_wanted_it(trial, host):
    os.killpg(trial.pid, signal.SIGINT)
    wait_until(lambda: is_gone(host) and host.run("flock --nonblock /run/omero-web-benchmark.lock true").rc == 0)


def test_a_trial_ends_where_its_process_was_killed(trial, reports, host, measuring):
    """systemd ends it, after its time, and removes all that was made for it."""
    host.check_output("kill -KILL %s", str(measuring()))
    output, _ = trial.communicate(timeout=60)
    # What was measured of the site before is kept.
    assert trial.returncode == 0, output
    assert "Stopped before its end: The process that measures was killed." in " ".join(output.split())
    (row,) = [row for row in json.loads(reports()[".json"].read_text())["rows"] if row["concurrency"]]
    assert row["kind"] == "" and row["requests"] > 0
    shown = host.check_output("systemctl show --property=RuntimeMaxUSec,ActiveState omero-web-benchmark.service")
    assert sorted(shown.split()) == ["ActiveState=active", "RuntimeMaxUSec=15min"]
    # As at the end of that time.
    host.check_output("systemctl stop omero-web-benchmark.service")
    assert is_gone(host)
