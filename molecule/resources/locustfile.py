"""Locust: visitors who come at a constant rate, whatever becomes of those before them, and a record of each request.

A visitor asks for the login page and, as a browser would, for a static file that this page names. Where there is a
session of a logged-in user, every other visitor has it, and also asks who OMERO.web takes them for. All is asked once:
no failure is mended by asking again.
"""

import itertools
import json
import re
import time
from urllib.parse import urljoin

import urllib3
from locust import HttpUser, events, task

VISITS_PER_SECOND = 6
# Seconds that an answer may take.
PATIENCE = 10
# A visit of three answers is over before the same visitor is due again: nobody comes late because another had to wait.
PERIOD = 3 * PATIENCE

START = time.time() + 1
TITLE = re.compile(r"<title>(.*?)</title>")
STATIC_FILE = re.compile(r'(?:href|src)="(/static/[^"]+)"')
numbers = itertools.count()
urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


@events.init_command_line_parser.add_listener
def _define_options(parser):
    parser.add_argument("--records", help="file for one line of JSON per request")
    parser.add_argument("--session", help="key of a logged-in session")
    parser.add_argument("--user", type=int, help="whose session it is")
    visitors = VISITS_PER_SECOND * PERIOD
    parser.set_defaults(headless=True, num_users=visitors, spawn_rate=visitors, stop_timeout=PERIOD)


@events.init.add_listener
def _keep_records(environment, **_):
    records = open(environment.parsed_options.records, "w", buffering=1)  # noqa: SIM115

    def record(name, start_time, response_time, response, exception, context, **_):
        fields = {
            "time": start_time,
            "late": start_time - context["due"] if "due" in context else 0,
            "path": name,
            "status": response.status_code,
            "seconds": response_time / 1000,
            "error": str(exception) if exception else None,
            "title": "".join(TITLE.findall(response.text or "")) if exception else None,
        }
        records.write(json.dumps(fields) + "\n")

    environment.events.request.add_listener(record)


class Visitor(HttpUser):
    def on_start(self):
        self.number = next(numbers)
        self.options = self.environment.parsed_options
        self.is_logged_in = self.options.session and self.number % 2 == 0
        # Test hosts have certificates that nobody has issued.
        self.client.verify = False
        if self.is_logged_in:
            self.client.cookies.set("sessionid", self.options.session)
        self.due = START + self.number / VISITS_PER_SECOND - PERIOD
        self.wait()

    def wait_time(self):
        self.due += PERIOD
        return max(0, self.due - time.time())

    @task
    def visit(self):
        with self.get("/webclient/login/", context={"due": self.due}) as page:
            files = STATIC_FILE.findall(page.text or "")
        if files:
            with self.get(urljoin(self.host, files[self.number % len(files)])):
                pass
        if self.is_logged_in:
            with self.get("/omero_test_app/user/") as page:
                if page.ok and page.text != json.dumps({"user": self.options.user}):
                    page.failure(f"takes user {self.options.user} for {page.text}")

    def get(self, path, **options):
        """Ask over a new connection: the client would mend it if one that nginx kept open were closed meanwhile."""
        headers = {"Connection": "close"}
        return self.client.get(path, headers=headers, timeout=PATIENCE, catch_response=True, **options)
