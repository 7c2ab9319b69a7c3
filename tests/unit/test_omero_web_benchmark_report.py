"""What a benchmark asks for by the variables of a site, and what is said, advised and written of what it finds."""

import csv
import io
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROLE = Path(__file__).parents[2] / "roles/omero-web"
report = SimpleNamespace(**runpy.run_path(str(ROLE / "action_plugins/omero_web_benchmark_report.py")))
action = SimpleNamespace(**runpy.run_path(str(ROLE / "action_plugins/omero_web_benchmark.py")))
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
METHODS = yaml.safe_load((ROLE / "vars/main/methods.yml").read_text())
MANIFEST = {"host": "omero.example.org", "prefix": "/omero", "url": "https://127.0.0.1:443/omero"}
SYNC, THREADS, GEVENT = "5 sync workers", "5 sync workers of 10 threads", "5 gevent workers"


def row(kind, target, concurrency, per_second, rate=0, errors=0, seconds=10, number=1):
    ms = 1000 / per_second * max(concurrency, 1)
    return {
        "kind": kind, "round": number, "target": target, "path": f"/{target}/", "tool": "omero-web",
        "concurrency": concurrency, "rate": rate, "requests": int(per_second * seconds),
        "errors": errors, "seconds": seconds, "per_second": per_second,
        "percentiles": {name: ms for name in report.PERCENTILES},
    }  # fmt: skip


def measured(differ=1, **best):
    """The rows of kinds of workers, by how much they serve of two targets, more in the second round by a factor."""
    names = {"sync": SYNC, "threads": THREADS, "gevent": GEVENT}
    return [
        row(names[kind], target, concurrency, factor * times * (differ if number == 2 else 1), number=number)
        for number in (1, 2)
        for kind, (login, planes) in best.items()
        for target, times in (("login page", login), ("planes", planes))
        for concurrency, factor in ((1, 0.5), (20, 1))
    ]


def kind(name, memory_mb=100, problem="", is_current=False):
    known = {"name": name, "memory_mb": memory_mb, "problem": problem, "is_current": is_current}
    return {**known, "variables": "omero_web_x: 1"}


KINDS = [kind(SYNC, 200, is_current=True), kind(THREADS, 150), kind(GEVENT, 120)]


def a_report(rows=(), kinds=(), stopped=""):
    site = [row("", "login page", 1, 60), row("", "login page", 5, 96), row("", "login page", 100, 100)]
    found = {
        "host": "web-1", "title": "OMERO.web", "release": "5.33.2", "generation": 7, "cores": 2, "time": "2026-11-27",
        "by": "ann", "url": "http://127.0.0.1:80", "from": "web-1",
        "rows": [*site, row("", "login page", 0, 50, 50), *rows],
        "kinds": list(kinds), "stopped": stopped, "rest_ms": 3.2, "slowest_ms": 512,
    }  # fmt: skip
    return {**found, "says": list(report.findings(found))}


def test_what_is_said_of_a_page():
    assert a_report()["says"] == [
        "login page: at most 100 requests/s. 5 at once are enough for 96; 100 at once wait for each other, 95 of 100 "
        "no longer than 1,000 ms.",
        "login page: where 50 are asked for in a second, half are there within 20 ms, 99 of 100 within 20 ms, the "
        "slowest after 20 ms.",
        "Whoever asked meanwhile whether the site is well waited 512 ms at most, and 3.20 ms at rest.",
        "Whether other workers would serve more is told by omero_web_benchmark_compare.",
    ]


def test_that_it_was_stopped_is_said_first():
    assert a_report(stopped="the site is slow")["says"][0] == "Stopped before its end: the site is slow."


def test_advice_to_change_has_its_evidence():
    rows = measured(sync=(100, 40), threads=(100, 60), gevent=(90, 30))
    assert report.advice(a_report(rows, KINDS)) == (
        f"Take {THREADS} (omero_web_x: 1): they serve 22% more than {SYNC}. Requests/s at most: login page 100 "
        f"({SYNC}), 100 ({THREADS}), 90 ({GEVENT}); planes 40 ({SYNC}), 60 ({THREADS}), 30 ({GEVENT}). Memory: 200 MiB "
        f"({SYNC}), 150 MiB ({THREADS}), 120 MiB ({GEVENT}). This is of pages that take as long as they do now; for "
        "many slow downloads, or an OMERO.server that lets users wait, threads and gevent serve more at once."
    )


@pytest.mark.parametrize("threads", [(100, 40), (109, 43), (90, 35)])
def test_advice_to_keep_what_is_as_good(threads):
    text = report.advice(a_report(measured(sync=(100, 40), threads=threads), KINDS[:2]))
    assert text.startswith(f"Keep {SYNC}: no other kind serves 10% more, and two runs of the same differ by up to ")


def test_nobody_is_to_keep_what_the_site_does_not_have():
    others = [{**kind, "is_current": False} for kind in KINDS[:2]]
    text = report.advice(a_report(measured(sync=(100, 40), threads=(100, 40)), others))
    assert text.startswith(f"{SYNC} will do: no other kind serves 10% more, and two runs of the same differ by up to ")


def test_advice_is_worth_as_much_as_two_runs_agree():
    workers = {"sync": (100, 40), "threads": (125, 50)}
    calm, busy, chaos = (report.advice(a_report(measured(n, **workers), KINDS[:2])) for n in (1.2, 1.3, 1.6))
    assert calm.startswith(f"Take {THREADS} (omero_web_x: 1): they serve 25% more than {SYNC}. Requests/s at most: ")
    # What is told is the mean.
    assert f"login page 110 ({SYNC}), 138 ({THREADS})" in calm
    assert busy.startswith(f"Keep {SYNC}: no other kind serves 30% more, and two runs of the same differ by up to ")
    assert chaos.startswith("No advice on workers: two runs of the same differ by 60%; compare again on a quiet host.")


def test_no_advice_to_take_what_serves_less_of_something():
    text = report.advice(a_report(measured(sync=(100, 40), threads=(200, 30)), KINDS[:2]))
    assert text.startswith(f"Keep {SYNC}: {THREADS} serve 22% more of all, but less of the planes. Requests")


def test_means_of_rounds():
    one = [row(SYNC, "planes", 5, 10), row(SYNC, "planes", 1, 5), row(SYNC, "planes", 5, 30, number=2)]
    five, single = report.mean_rows(one)
    assert (five["per_second"], five["requests"], five["seconds"]) == (20, 400, 20)
    assert five["percentiles"]["50"] == pytest.approx((500 + 1000 / 6) / 2)
    assert single == one[1]


def test_advice_says_how_little_it_rests_on():
    rows = [{**one, "seconds": 0.5} for one in measured(sync=(100, 40), threads=(200, 80))]
    assert (
        f"Take {THREADS} (omero_web_x: 1): they serve 100% more than {SYNC}. It rests on steps of 0.50 s; "
        "omero_web_benchmark_requests makes them longer."
    ) in report.advice(a_report(rows, KINDS[:2]))


def test_no_advice_of_what_was_not_measured_to_its_end():
    none = "No advice on workers: fewer than two kinds of them served all that was asked for."
    rows = measured(sync=(100, 40), gevent=(200, 80))
    assert report.advice(a_report(rows, [KINDS[0], {**KINDS[2], "problem": "it did not start"}])) == none
    assert report.advice(a_report(rows[:-1], [KINDS[0], KINDS[2]])) == none
    stopped = a_report(rows, [KINDS[0], KINDS[2]], stopped="the site is slow")
    assert report.advice(stopped) == "No advice on workers: the comparison did not come to its end."
    assert report.advice(a_report(rows, [KINDS[0], KINDS[2]])).startswith(f"Take {GEVENT} (")
    assert report.advice(a_report()) == ""


def test_a_kind_that_could_not_be_measured_is_told():
    says = a_report(measured(sync=(1, 1)), [KINDS[0], kind(GEVENT, problem="it did not start")])["says"]
    assert f"{GEVENT} could not be measured: it did not start." in says


def test_table_for_other_programs():
    lines = list(csv.DictReader(io.StringIO(report.as_csv(a_report(measured(sync=(100, 40)))))))
    assert len(lines) == 12
    assert (lines[0]["target"], lines[0]["concurrency"], lines[0]["per_second"]) == ("login page", "1", "60")
    assert (lines[3]["rate"], lines[3]["ms_99"]) == ("50", "20.0")
    assert lines[-1]["kind"] == SYNC


def test_page_has_what_was_found():
    page = report.as_page(a_report(measured(sync=(100, 40), threads=(100, 60)), KINDS[:2], stopped="it <b>ended</b>"))
    assert '<header class="down">' in page
    assert "<p>Stopped before its end: it &lt;b&gt;ended&lt;/b&gt;.</p>" in page
    for label in ("Served at most, requests/s", "planes: 95 % within, ms", "Memory, MiB", "login page, requests/s"):
        assert f'aria-label="{label}"' in page
    assert page.count("<table ") == 2
    assert page.count("<h2>") == 2


def test_page_of_what_was_stopped_at_once():
    nothing = {**a_report(stopped="it ended"), "rows": []}
    assert "<figure>" not in report.as_page({**nothing, "says": list(report.findings(nothing))})
    started = a_report([row(SYNC, "planes", 1, 5, errors=3)], [KINDS[0]], "3 of 8 requests failed")
    assert "3 of 8 requests failed" in report.as_page(started)


# --- what is asked for ------------------------------------------------------------------------------------------------


def place(is_elsewhere=False, address="", **variables):
    return action.place_of({**DEFAULTS, **variables}, MANIFEST, is_elsewhere, address)


def test_where_the_site_is_asked():
    here = {"url": "https://127.0.0.1:443", "host": "omero.example.org", "health": "/healthz"}
    assert place() == here
    assert place(is_elsewhere=True, address="192.0.2.7") == {**here, "url": "https://192.0.2.7:443"}
    assert place(is_elsewhere=True, address="2001:db8::7") == {**here, "url": "https://[2001:db8::7]:443"}
    assert place(omero_web_health_path="")["health"] == "/omero/webclient/login/"
    assert place(omero_web_nginx=False)["health"] == "/omero/webclient/login/"


def test_a_site_is_asked_through_what_is_before_it():
    assert place(is_elsewhere=True, omero_web_benchmark_url="https://images.example.org:8443") == {
        "url": "https://images.example.org:8443",
        "host": "images.example.org:8443",
        "health": "/omero/webclient/login/",
    }


def test_who_asks():
    assert action.user_of(DEFAULTS) is None
    public = {**DEFAULTS, "omero_web_benchmark_images": [7]}
    assert action.user_of(public) == {"user": "", "password": "", "server": 1}
    ann = {"omero_web_benchmark_user": "ann", "omero_web_benchmark_password": "x", "omero_web_benchmark_server": "2"}
    assert action.user_of({**public, **ann}) == {"user": "ann", "password": "x", "server": 2}


def test_a_site_that_is_not_installed_is_not_measured():
    assert action.live_of({"current": 0, "generations": []}) is None
    assert action.live_of({"current": 1, "generations": [{"number": 1, "manifest": {}}]}) is None
    assert action.live_of({"current": 1, "generations": [{"number": 1, "manifest": MANIFEST}]}) == MANIFEST


def test_what_was_measured_is_kept_where_the_comparison_fails():
    left = action.what_is_left({"failed": True, "msg": "The site is not well before any load: /healthz answers 503."})
    found = {**a_report([], left["kinds"], left["stopped"]), "says": []}
    assert list(report.findings(found))[:2] == [
        "Stopped before its end: The site is not well before any load: /healthz answers 503.",
        a_report()["says"][0],
    ]


def kinds(*compare, python="3.11", **variables):
    site = {"variables": {**DEFAULTS, **variables, "omero_web_benchmark_compare": list(compare)}}
    look = {"cores": 2, "releases": {"r": {"python": f"/usr/bin/python {python}"}}}
    return action.kinds_of(site, METHODS, look, "r")


def test_kinds_of_workers_are_what_the_role_would_deploy():
    sync, threads, gevent = kinds({}, {"threads": 10, "workers": 3}, {"worker_class": "gevent"})
    assert (sync["name"], threads["name"], gevent["name"]) == (SYNC, "3 sync workers of 10 threads", GEVENT)
    assert sync["settings"] == {
        "omero.web.wsgi_worker_class": "sync",
        "omero.web.wsgi_workers": "5",
        "omero.web.wsgi_threads": 1,
        "omero.web.wsgi_worker_connections": 1000,
    }
    assert [threads["settings"][f"omero.web.wsgi_{name}"] for name in ("threads", "worker_connections")] == [10, 10]
    assert [(one["needs"], one["packages"]) for one in (sync, threads)] == [("", []), ("", [])]
    assert (gevent["needs"], gevent["packages"]) == ("gevent", ["gevent==26.9.0"])
    assert [one["workers"] for one in (sync, threads, gevent)] == [5, 3, 5]
    variables = "omero_web_worker_class: sync, omero_web_workers: 3, omero_web_threads: 10"
    assert action.variables_of(threads["settings"]) == variables


def test_which_kind_of_workers_the_site_has_itself():
    def own(**variables):
        return action.name_of_kind(action.own_workers_of({"variables": {**DEFAULTS, **variables}}, 2))

    assert own() == SYNC
    assert own(omero_web_workers="3", omero_web_threads="10") == "3 sync workers of 10 threads"
    assert own(omero_web_worker_class="gevent") == GEVENT
    assert own(omero_web_workers=1) == "1 sync worker"
    assert own(omero_web_config={"omero.web.wsgi_workers": 7, "omero.web.debug": True}) == "7 sync workers"


def test_kinds_of_workers_do_not_have_what_the_site_has_of_another_kind():
    """But for the number of workers, which each may have."""
    site = {"omero_web_worker_class": "gevent", "omero_web_workers": 4, "omero_web_threads": 1}
    names = [one["name"] for one in kinds({}, {"threads": 2}, **site)]
    assert names == ["4 sync workers", "4 sync workers of 2 threads"]
    assert [one["name"] for one in kinds({}, {"worker_class": "sync"}, omero_web_threads=8)] == [SYNC]


def test_kinds_of_workers_of_an_old_release_want_packages_of_its_time():
    threads, gevent = kinds({"threads": 2}, {"worker_class": "gevent"}, python="2.7")
    assert (threads["needs"], threads["packages"]) == ("concurrent.futures", ["futures"])
    assert (gevent["needs"], gevent["packages"]) == ("gevent", ["gevent"])
