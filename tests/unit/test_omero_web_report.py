"""The report of a fleet: what it says of hosts in every state, that foreign text stays text, and in a real browser."""

import json
import runpy
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.module_utils.omero_web_status import lines_of, status_of
from test_omero_web_status import NOW, TLS, certificate, error, layers, measured

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "roles/omero-web/action_plugins"
report = SimpleNamespace(**runpy.run_path(str(PLUGINS / "omero_web_report.py")))
state = SimpleNamespace(**runpy.run_path(str(PLUGINS / "omero_web_state.py")))
UNREACHABLE = report.unknown("it cannot be reached: no route", "ansible web-9 -m ping")
STRANGE = "<script>alert(1)</script><img src=http://192.0.2.7/x>'\"&\x1b[2J\u202e\ud800"
VERDICTS = {
    "ok": {},
    "attention": {"astray": ["/etc/x"]},
    "down": {"layers": layers(500, 500)},
}


def status(**differences):
    found = status_of(measured(**differences))
    return {**found, "summary": lines_of(found), "drift": []}


def told(**states):
    return report.report_of({name.replace("_", "-"): one for name, one in states.items()}, NOW)


class Elements(HTMLParser):
    """The elements of a page, its texts, and whether each element that is begun is ended."""

    def __init__(self, page):
        super().__init__()
        self.names, self.attributes, self.texts, self.open = set(), [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.names.add(tag)
        self.attributes += attributes
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if self.open[-1:] != ["style"]:
            self.texts.append(text)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.mark.parametrize("verdict", VERDICTS)
def test_verdict_comes_first(verdict):
    page, data = told(web_1=status(**VERDICTS[verdict]))
    sentence = {"ok": "The site is in order.", "attention": "The site needs attention.", "down": "The site is down."}
    assert f'<header class="{verdict}"><h1>{sentence[verdict]}</h1>' in page
    assert f"<title>OMERO.web: {sentence[verdict]}</title>" in page
    assert (data["verdict"], data["says"]) == (verdict, sentence[verdict])
    assert data["hosts"]["web-1"]["verdict"] == verdict


def test_fleet_is_as_good_as_its_worst_host():
    states = {verdict: status(**differences) for verdict, differences in VERDICTS.items()}
    page, data = told(**states, gone=UNREACHABLE, also_ok=status())
    sentence = "Of 5 sites, 1 is down, 1 could not be asked, 1 needs attention and 2 are in order."
    assert (data["verdict"], data["says"]) == ("down", sentence)
    rows = [name for name, value in Elements(page).attributes if value in ("#down", "#gone", "#attention", "#ok")]
    assert rows == ["href"] * 4
    assert [page.index(f'href="#{name}"') for name in ("down", "gone", "attention", "ok", "also-ok")] == sorted(
        page.index(f'href="#{name}"') for name in states | {"gone": 0, "also-ok": 0}
    )
    assert told(a=status(), b=status())[1]["says"] == "All 2 sites are in order."
    assert told(a=UNREACHABLE)[1]["verdict"] == "unknown"


def test_host_that_cannot_be_asked_is_named():
    page, data = told(web_1=status(), web_9=UNREACHABLE)
    text = Elements(page).text
    assert "web-9 unknown What to do unknown it cannot be reached: no route → ansible web-9 -m ping" in text
    assert data["hosts"]["web-9"] == UNREACHABLE


def test_what_is_told_of_a_host():
    differences = {
        "certificate": {**certificate(3), "not_for": ["b.org", "c.org"]},
        "errors": [error("no such file", 2)],
        "hold": "course until Friday",
        "tls": {**TLS, "milliseconds": 48},
        "store": {"where": "10.0.0.1:6379", "reason": ""},
    }
    page, data = told(web_1={**status(**differences), "drift": ["make generation 8", "put generation 8 live"]})
    text = Elements(page).text
    for words in (
        "web-1 attention 5.33.2 7 2026-11-26 20:21:27 UTC",
        "OMERO.web 5.33.2 as generation 7 since 2026-11-26 20:21:27 UTC, by ansible-playbook, by ann on controller",
        "It can go back to 6, 5.",
        "On hold: course until Friday",
        "attention the certificate ends in 3 days → renew /etc/nginx/omero-web.pem, then systemctl reload nginx",
        "What site.yml would do make generation 8 put generation 8 live",
        "OMERO.web 12 ms 200, 127.0.0.1:4080",
        "TLS 48 ms TLSv1.3, 127.0.0.1:443",
        "omero at omero.example.org, port 4064: answers in 8 ms Redis of the sessions at 10.0.0.1:6379: answers",
        "OMERO.web takes 300 MiB in 6 processes 8.8 GiB are free in /opt/omero/web",
        "It ends on 2026-11-29, in 3 days It is not for b.org, c.org",
        "2 × nginx: no such file",
    ):
        assert words in text
    assert '<rect class="part" width="25.0%"' in page
    assert '<rect class="part" width="100.0%"' in page
    assert json.loads(json.dumps(data)) == data


def every_text_strange(value):
    """Put strange text where a host has text, but for the words that a page has colours for."""
    if isinstance(value, dict):
        return {key: every_text_strange(inner) if key != "verdict" else inner for key, inner in value.items()}
    if isinstance(value, list):
        return [every_text_strange(inner) for inner in value]
    return STRANGE if isinstance(value, str) else value


def test_what_comes_from_a_host_stays_text():
    full = {
        **status(astray=["/etc/x"], errors=[error("x")], hold="x", tls=TLS, store={"where": "x", "reason": "x"}),
        "drift": ["x"],
        "certificate": {**certificate(3), "not_for": ["x"]},
    }
    page, _ = told(web_1=every_text_strange(full))
    plain, _ = told(web_1=full)
    assert Elements(page).names == Elements(plain).names
    assert {name for name, _ in Elements(page).attributes} == {name for name, _ in Elements(plain).attributes}
    assert Elements(page).text.count("<script>alert(1)</script>") > 15
    assert not {"\x1b", "\u202e", "\ud800"} & set(page)
    page.encode()


@pytest.mark.parametrize(
    "key, value",
    [
        ("verdict", "splendid"),
        ("verdict", None),
        ("findings", None),
        ("findings", ["x"]),
        ("layers", "x"),
        ("layers", [{"layer": "x"}]),
        ("layers", [{**layers()[0], "milliseconds": "12"}]),
        ("layers", [{**layers()[0], "milliseconds": None}]),
        ("activated", "x"),
        ("certificate", {"ends": "x"}),
        ("certificate", {"ends": 1e300}),
        ("good", 7),
        ("disks", [{"free_mb": "x"}]),
        ("workers", 7),
        ("servers", [7]),
    ],
)
def test_host_that_says_something_strange_keeps_no_other_from_being_told(key, value):
    page, data = told(web_1={**status(), key: value}, web_2=status())
    assert data["says"] == "Of 2 sites, 1 could not be asked and 1 is in order."
    assert "what it says of its state is not understood" in page


def test_a_host_that_is_slow_beyond_measure_leaves_room_for_the_others():
    slow, half, quick = ([{**layers()[0], "milliseconds": number}] for number in (1e300, 2500, 5))
    page, _ = told(web_1=status(layers=slow), web_2=status(layers=half), web_3=status(layers=quick))
    for width in "100.0%", "50.0%", "1.0%":
        assert f'<rect class="part" width="{width}"' in page


def test_report_is_written_through_no_link(tmp_path):
    others = tmp_path / "others"
    others.write_text("theirs")
    for name in "status.html", "status.html.new":
        (tmp_path / name).symlink_to(others)
    report.write(tmp_path / "status.html", "é")
    assert (others.read_text(), (tmp_path / "status.html").read_text(encoding="utf-8")) == ("theirs", "é")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["others", "status.html"]


TOLD = {"summary": ["a"], "verdict": "ok", "release": "5.33.2"}


def test_command_that_tells():
    for output in json.dumps(TOLD), f"a lecture\r\n{json.dumps(TOLD)}\r\nclosed":
        assert state.state_in(output) == TOLD
    # Only the controller knows these.
    assert state.state_in(json.dumps({**TOLD, "drift": ["x"], "newer": "x"})) == TOLD


@pytest.mark.parametrize(
    "output, complaint, reason",
    [
        ("", "sh: 1: omero-web: not found\n", "sh: 1: omero-web: not found"),
        ("usage: {status}", "", "usage: {status}"),
        ("[]", "", "[]"),
        ("", "", "it says nothing"),
        *((json.dumps({**TOLD, **one}), "", json.dumps({**TOLD, **one})) for one in ({"verdict": "x"}, {"summary": 7})),
        *((json.dumps({"verdict": one}), "", json.dumps({"verdict": one})) for one in ("ok", [], None)),
    ],
)
def test_command_that_does_not_tell(output, complaint, reason):
    found = state.state_in(output, complaint)
    assert found["verdict"] == "unknown"
    assert found["findings"][0]["what"] == f"its command does not tell its state ({reason})"


def test_arguments_of_pip_as_its_variables():
    arguments = "--index-url https://u:p@a.org/simple --extra-index-url=b --extra-index-url c -ff --no-deps --no-index"
    assert state.environment_of_pip(arguments) == {
        "PIP_INDEX_URL": "https://u:p@a.org/simple",
        "PIP_EXTRA_INDEX_URL": "b c",
        "PIP_FIND_LINKS": "f",
        "PIP_NO_INDEX": "1",
    }
    assert state.environment_of_pip("") == {}


INDEXED = {"versions": ["5.9.0", "5.33.2", "5.33.10", "5.34.0"], "problem": ""}


def test_what_is_newer():
    outdated = [{"name": name, "version": "1.0", "latest": "2.0"} for name in ("omero-web", "Django")]
    newer = state.newer_of("5.33.2", {**INDEXED, "outdated": outdated})
    assert newer == {"problem": "", "releases": ["5.34.0", "5.33.10"], "packages": outdated[1:]}
    assert state.lines_of_newer(newer) == [
        "  newer      5.34.0, 5.33.10; set omero_web_release, run site.yml",
        "  outdated   Django 1.0, of which 2.0 is there",
    ]
    text = Elements(told(web_1={**status(), "newer": newer})[0]).text
    assert "Newer OMERO.web 5.34.0, 5.33.10 Django 2.0; here is 1.0" in text
    newest = state.newer_of("5.34.0", {**INDEXED, "outdated": []})
    assert state.lines_of_newer(newest) == ["  newer      no release of OMERO.web"]
    silent = state.newer_of("5.34.0", {"versions": [], "outdated": [], "problem": "no answer"})
    assert state.lines_of_newer(silent) == ["  newer      is not known: no answer"]
    assert "Newer no answer" in Elements(told(web_1={**status(), "newer": silent})[0]).text


@pytest.fixture(scope="module")
def browser():
    sys.path.insert(0, str(ROOT / "molecule"))
    from browser import browser_of

    with browser_of("http://nowhere.invalid") as browser:
        yield browser
    sys.path.remove(str(ROOT / "molecule"))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A report with everything in it, long words included."""
    path = tmp_path_factory.mktemp("report") / "status.html"
    long = "/" + "x" * 300
    differences = {"astray": [long], "errors": [error("y" * 160)], "certificate": certificate(3), "hold": "z" * 200}
    states = {verdict: status(**differences) for verdict, differences in VERDICTS.items()}
    path.write_text(told(**states, long={**status(**differences), "drift": [long]}, w_9=UNREACHABLE)[0])
    return path


@pytest.mark.parametrize("width", [390, 1280])
def test_report_in_a_browser(browser, file, width):
    grounds = {}
    for scheme in "light", "dark":
        context = browser.new_context(viewport={"width": width, "height": 700}, color_scheme=scheme)
        page, requests, complaints = context.new_page(), [], []
        page.on("request", lambda request, requests=requests: requests.append(request.url))
        page.on("console", lambda message, complaints=complaints: complaints.append(message.text))
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        right = "[...document.querySelectorAll('body *')].map(one => one.getBoundingClientRect().right)"
        assert max(page.evaluate(right)) <= width
        box = page.locator("h1").bounding_box()
        assert box["y"] + box["height"] < 700, "the verdict is seen at once"
        assert page.locator("h1").inner_text().startswith("Of 5 sites, 1 is down,")
        widest = "Math.max(...[...document.querySelectorAll('svg')].map(one => one.getBoundingClientRect().width))"
        assert page.evaluate(widest) > 100
        assert (requests, complaints) == ([file.as_uri()], [])
        grounds[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        context.close()
    assert grounds["light"] != grounds["dark"]


def test_report_on_paper(browser, file):
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(file.as_uri())
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    context.close()


def test_a_page_runs_and_loads_nothing_even_where_markup_gets_into_it(browser, tmp_path):
    foreign = '<img src="http://127.0.0.1:9/x"><script>document.title = "foreign"</script>'
    path = tmp_path / "page.html"
    path.write_text(report.pages.page("own", report.pages.Markup(foreign)))
    context = browser.new_context()
    page, failures = context.new_page(), []
    page.on("requestfailed", lambda request: failures.append(request.failure))
    page.goto(path.as_uri())
    assert page.locator("img").count() == 1
    assert (page.title(), failures) == ("own", ["csp"])
    context.close()
