"""The daily clean-up of sessions in files and of what is left of uploads: it is there, and takes no more than that."""

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


def test_it_removes_what_killed_workers_left_of_requests(host, basedir, user):
    directory = host.check_output("readlink --canonicalize %s/current/var/tmp", basedir)
    old, new, kept = (f"{directory}/{name}" for name in ("tmpold_123", "tmpnew_123.upload", "is-not-tmp"))
    host.check_output("runuser -u %s -- mkdir %s", user, old)
    host.check_output("runuser -u %s -- touch %s/image.tiff %s.upload %s %s", user, old, old, new, kept)
    host.check_output("touch --date='2 days ago' %s/image.tiff %s.upload %s", old, old, kept)
    host.check_output("systemctl start %s", SERVICE)
    assert host.file(new).exists
    assert not host.file(f"{old}.upload").exists
    assert not host.file(f"{old}/image.tiff").exists
    # A directory is as new as the last change in it.
    host.check_output("touch --date='2 days ago' %s", old)
    host.check_output("systemctl start %s", SERVICE)
    assert not host.file(old).exists
    assert host.file(kept).exists
    host.check_output("rm %s %s", new, kept)
