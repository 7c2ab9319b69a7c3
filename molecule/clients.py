"""Users who log in to a site by OMERO.web's own form, for tests of what they get; without a browser."""

import re
from urllib.parse import urlsplit

import requests
import urllib3

LOGIN = "/webclient/login/"
DOWNLOAD = "/webgateway/archived_files/download/"
UNIT = "omero-server-stand-in.service"
# Whose a page of the web client is.
USER = re.compile(r"WEBCLIENT\.USER = \{'id': (\d+),")

urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)


class User:
    """Somebody with cookies of their own, who asks for one thing after the other."""

    def __init__(self, site):
        self.site, self.session = site, requests.Session()
        # Test hosts have certificates that nobody has issued, whomever this machine trusts.
        self.session.verify = self.session.trust_env = False

    def get(self, path, **options):
        return self.session.get(self.site + path, timeout=60, **options)

    def post(self, path, **data):
        headers = {"Referer": self.site, "X-CSRFToken": self.session.cookies["csrftoken"]}
        return self.session.post(self.site + path, data=data, headers=headers, timeout=60, allow_redirects=False)

    def log_in(self, name, password):
        """By OMERO.web's own form; its answer."""
        self.get(LOGIN)
        return self.post(LOGIN, username=name, password=password, server="1")

    def is_logged_in(self):
        return self.get("/webclient/", allow_redirects=False).status_code == 200


def leads_to(answer):
    """Where a redirect leads on the site, which the Django of OMERO 5.4 names, too."""
    return urlsplit(answer.headers["Location"])._replace(scheme="", netloc="").geturl()


def who_sees(page):
    """The id of the user whose page of the web client this is; None if it is another page."""
    found = USER.search(page)
    return found and int(found[1])


def complaint(answer):
    """What a login page says is wrong."""
    return re.sub(r"\s+", " ", re.search(r'class="error">(.*?)<', answer.text, re.S)[1]).strip()
