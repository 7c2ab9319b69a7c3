"""Who is told of a change, what, and what a run says of those who could not be told."""

import json
import runpy
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import pytest

PLUGIN = Path(__file__).parents[2] / "roles/omero-web/action_plugins/omero_web_notice.py"
notices = SimpleNamespace(**runpy.run_path(str(PLUGIN)))
PLANNED = {"live": 7, "generation": 8, "says": ["make generation 8", "put generation 8 live"]}
BY = "ansible-playbook, by ann on controller"
NOTICE = notices.notice_of("web-1", "OMERO.web", PLANNED, BY, 6.25, "")


@pytest.fixture
def webhook():
    """A webhook: its URL, what it was told, and the status by which it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            content = self.rfile.read(int(self.headers["Content-Length"]))
            hook.told.append((self.path, self.headers["Content-Type"], json.loads(content)))
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    hook = SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/token", told=[], status=200)
    Thread(target=server.serve_forever, daemon=True).start()
    yield hook
    server.shutdown()
    server.server_close()


def problems(url="", command=()):
    return list(notices.problems_of_telling(NOTICE, url, list(command)))


def test_what_is_told():
    says = "OMERO.web on web-1: generation 7 to 8, done after 6.2 s, by ansible-playbook, by ann on controller."
    assert {
        "host": "web-1",
        "instance": "OMERO.web",
        "from": 7,
        "to": 8,
        "by": BY,
        "says": PLANNED["says"],
        "outcome": "done",
        "reason": "",
        "seconds": 6.2,
        "text": f"{says} make generation 8; put generation 8 live",
    } == NOTICE
    failed = notices.notice_of("web-1", "OMERO.web", {**PLANNED, "live": 0}, BY, 1, "It did not start.")
    assert (failed["outcome"], failed["reason"]) == ("failed", "It did not start.")
    assert failed["text"].startswith("OMERO.web on web-1: generation 8, failed after 1 s, by ")
    assert failed["text"].endswith(". It did not start.")


def test_webhook_and_command_are_told(webhook, tmp_path):
    keep = [sys.executable, "-c", "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())", tmp_path / "told"]
    assert problems(webhook.url, keep) == []
    assert webhook.told == [("/token", "application/json", NOTICE)]
    assert json.loads((tmp_path / "told").read_text()) == NOTICE
    assert problems() == []


def test_webhook_that_cannot_be_told(webhook, monkeypatch):
    begins = "web-1: the change is done, and the webhook at 127.0.0.1 (omero_web_notify_url)"
    webhook.status = 403
    assert problems(webhook.url) == [f"{begins} answers 403."]
    closed = "http://127.0.0.1:9/token"
    (sentence,) = problems(closed)
    assert sentence.startswith(f"{begins} could not be told (")
    assert "Connection refused" in sentence
    assert "token" not in sentence
    (sentence,) = problems("http://127.0.0.1:port/token")
    assert sentence.startswith(begins)
    assert "token" not in sentence


@pytest.mark.parametrize(
    "command, sentence",
    [
        (["/no/such"], "/no/such (omero_web_notify_command) could not be told (No such file or directory)."),
        (["false"], "false (omero_web_notify_command) ended with code 1: it said nothing."),
        (["sh", "-c", "echo no >&2; exit 3"], "sh (omero_web_notify_command) ended with code 3: no."),
        (["sh", "-c", r"printf '\377' >&2; exit 3"], "sh (omero_web_notify_command) ended with code 3: \ufffd."),
        (["sleep", "60"], "sleep (omero_web_notify_command) could not be told (no end within 1 s)."),
    ],
)
def test_command_that_cannot_be_told(monkeypatch, command, sentence):
    monkeypatch.setitem(notices.problems_of_telling.__globals__, "TIMEOUT", 1)
    assert problems(command=command) == [f"web-1: the change is done, and the command {sentence}"]
