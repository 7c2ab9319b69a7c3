"""The daily clean-up of sessions in files: it is there, and it takes those that have expired and no others."""

import pytest

TIMER = "omero-web-clearsessions.timer"
SERVICE = "omero-web-clearsessions.service"
NEW_SESSION = """
import django, importlib
from django.conf import settings
django.setup()
session = importlib.import_module(settings.SESSION_ENGINE).SessionStore()
session["user"] = 7
session.save()
print(session._key_to_file())
"""


@pytest.fixture
def session_file(python):
    """Leave a session on the host, as the service does it; the path of its file."""
    return lambda: python(f"-c '{NEW_SESSION}'")


def test_it_is_due_within_a_day(host):
    assert host.service(TIMER).is_running
    due = host.check_output("systemctl show --property=NextElapseUSecRealtime --value %s", TIMER)
    now, then = (int(host.check_output("date --date=%s +%%s", moment)) for moment in ("now", due))
    assert 0 < then - now <= 28 * 3600


def test_it_removes_expired_sessions_only(host, session_file):
    live, expired = session_file(), session_file()
    host.check_output("touch --date='2 days ago' %s", expired)
    host.check_output("systemctl start %s", SERVICE)
    assert host.file(live).exists
    assert not host.file(expired).exists
