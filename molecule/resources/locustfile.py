"""Locust: visitors who come at a constant rate, whatever becomes of those before them, and a record of each request.

A guest asks for the login page and, as a browser would, for a static file that this page names. Where there is a
session of a logged-in user, every other visitor has it and goes on with what users do: the tree, which tells whom
OMERO.web takes them for, the page around it, a thumbnail or a plane. Some guests log in by the form, do all that,
download a file and log out. All is asked once: no failure is mended by asking again.
"""

import itertools
import json
import re
import time
from urllib.parse import urljoin

from clients import LOGIN, who_sees
from locust import HttpUser, events, task
from stand_in.world import World

VISITS_PER_SECOND = 6
# All come from one address, of which the role's own limit takes 20 attempts to log in a minute: half as many.
VISITS_PER_LOGIN = 36
# Seconds that an answer may take. A busy machine has its pauses: what comes late is in the figures, and no failure.
PATIENCE = 30
# Seconds until the same visitor is due again. A visit of three answers is over by then: nobody comes late because
# another had to wait. (Of those who log in, whose visits are longer, the next to come is another one.)
PERIOD = 30

START = time.time() + 1
TITLE = re.compile(r"<title>(.*?)</title>")
STATIC_FILE = re.compile(r'(?:href|src)="(/static/[^"]+)"')
WEBCLIENT = "/webclient/"
numbers = itertools.count()


@events.init_command_line_parser.add_listener
def _define_options(parser):
    parser.add_argument("--records", help="file for one line of JSON per request")
    parser.add_argument("--session", help="key of a logged-in session")
    parser.add_argument("--user", type=int, help="whose session it is")
    parser.add_argument("--password", help="by which that user logs in")
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


class Desk:
    """What a user of the stand-in asks for all day, as (path, whether an answer is what that user should get)."""

    def __init__(self, user_id, number):
        world = World()
        self.user = world.users[user_id]
        group = self.user.groups[0]
        dataset = next(one for one in world.datasets.values() if one.name == "To be sorted")
        images = world.children(dataset)
        image = images[number % len(images)].id
        projects = [one for one in world.projects.values() if (one.owner, one.group) == (user_id, group)]
        self.projects = {project.name for project in projects}
        self.tree = f"{WEBCLIENT}api/containers/?id={user_id}&group={group}", self.is_own_tree
        self.page = WEBCLIENT, self.is_own_page
        self.thumbnail = f"/webgateway/render_thumbnail/{image}/96/", is_picture
        self.plane = f"/webgateway/render_image/{image}/0/0/", is_picture
        self.download = f"/webgateway/archived_files/download/{image}/", is_file

    def is_own_tree(self, answer):
        try:
            projects = answer.json()["projects"]
        except ValueError:  # A login page, perhaps.
            return False
        # To nobody else it says that they are theirs.
        return {one["name"] for one in projects if "isOwned" in one["permsCss"]} == self.projects

    def is_own_page(self, answer):
        return who_sees(answer.text) == self.user.id


def is_picture(answer):
    # A PNG would be the placeholder for a thumbnail that cannot be had.
    return answer.content.startswith(b"\xff\xd8\xff")


def is_file(answer):
    return answer.content.startswith(b"II*\0")


def is_login_page(answer):
    return 'id="id_password"' in answer.text


class Visitor(HttpUser):
    def on_start(self):
        self.number = next(numbers)
        options = self.environment.parsed_options
        # Test hosts have certificates that nobody has issued.
        self.client.verify = False
        self.visit_as = self.be_a_guest
        if options.session:
            self.desk = Desk(options.user, self.number)
            if self.number % 2 == 0:
                self.client.cookies.set("sessionid", options.session)
                self.visit_as = self.be_at_the_desk
            elif self.number % VISITS_PER_LOGIN == 1:
                self.visit_as = self.come_and_go
        self.due = START + self.number / VISITS_PER_SECOND - PERIOD
        self.wait()

    def wait_time(self):
        self.due += PERIOD
        return max(0, self.due - time.time())

    @task
    def visit(self):
        self.visit_as(context={"due": self.due})

    def be_a_guest(self, context):
        page = self.ask(LOGIN, is_login_page, context=context)
        if page and (files := STATIC_FILE.findall(page.text)):
            self.ask(urljoin(self.host, files[self.number % len(files)]))

    def be_at_the_desk(self, context):
        desk = self.desk
        # One of them: each takes OMERO.web and its server several times as long as a login page.
        asked = desk.tree, desk.thumbnail, desk.tree, desk.plane, desk.tree, desk.page
        self.ask(*asked[self.number // 2 % len(asked)], context=context)

    def come_and_go(self, context):
        """Whoever is turned away stops there."""
        self.client.cookies.clear()
        desk, options = self.desk, self.environment.parsed_options
        form = {"username": desk.user.login, "password": options.password, "server": 1}
        page = self.ask(LOGIN, is_login_page, context=context)
        if not (page and self.post(page, "", desk.is_own_page, **form)):
            return
        if not all(self.ask(*one) for one in (desk.tree, desk.thumbnail, desk.plane, desk.download)):
            return
        page = self.ask(*desk.page)
        if page and self.post(page, "logout/", is_login_page):
            self.ask(WEBCLIENT, is_login_page)

    def post(self, page, path, is_right, **form):
        """Send what a page has a form for, from where a redirect has led to it."""
        headers = {"Referer": page.url, "X-CSRFToken": self.client.cookies.get("csrftoken", "")}
        return self.ask(urljoin(page.url, path), is_right, "POST", headers=headers, data=form)

    def ask(self, path, is_right=None, method="GET", headers=None, **options):
        """Ask over a new connection: the client would mend it if one that nginx kept open were closed meanwhile.

        The answer, or None if it is not as it should be.
        """
        headers = {"Connection": "close", **(headers or {})}
        with self.client.request(
            method, path, headers=headers, timeout=PATIENCE, catch_response=True, **options
        ) as answer:
            is_good = answer.status_code == 200 and (is_right is None or is_right(answer))
            if answer.status_code < 400 and not is_good and not answer.error:
                answer.failure(f"is not what this visitor should get: {answer.status_code} {answer.text[:80]!r}")
        return answer if is_good else None
