"""Workers: what they share, and whom they leave waiting."""

import re
from threading import Thread

import pytest
from conftest import on_a_busy_machine, wait_until
from traffic import BLOCKS, Download

pytestmark = on_a_busy_machine
SLOW_CLIENTS = 120
CLIENTS = 10
PAGES_PER_CLIENT = 100


@pytest.fixture
def workers(host, main_pid):
    """Tell the process ids of the workers, now."""
    return lambda: set(host.check_output("pgrep --parent %s", main_pid()).split())


def test_gunicorn_logs_where_its_arguments_say(host, variables, basedir, user, login):
    assert login().status == 200
    log = host.file(f"{basedir}/var/log/error.log")
    assert log.user == user
    assert f"[DEBUG] GET {variables['omero_web_prefix']}/webclient/login/" in log.content_string


def test_workers_share_the_memory_of_what_was_loaded_before_them(host, login, workers):
    def kilobytes(pid, what):
        return int(re.search(rf"(?m)^{what}: +(\d+)", host.file(f"/proc/{pid}/smaps_rollup").content_string)[1])

    def visit(number):
        for _ in range(PAGES_PER_CLIENT):
            login(**{"X-Forwarded-For": f"192.0.2.{100 + number}"})

    # So many pages that each worker has collected its garbage by then, from so many addresses that all are answered.
    clients = [Thread(target=visit, args=[number]) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    for pid in workers():
        assert kilobytes(pid, "Pss") < kilobytes(pid, "Rss") / 2


def test_slow_downloads_leave_the_login_page_answering(site, variables, login):
    url = f"{site}{variables['omero_web_prefix']}/omero_test_app/download/?blocks={BLOCKS}"
    downloads = [Download(url) for _ in range(SLOW_CLIENTS)]
    for download in downloads:
        download.start()
    answers = [login().status for _ in range(20)]
    under_way = [download for download in downloads if download.is_alive()]
    for download in downloads:
        download.abandon()
    assert len(under_way) == SLOW_CLIENTS
    assert answers == [200] * 20


def test_killed_worker_is_replaced(host, login, workers):
    before = workers()
    host.check_output("kill -KILL %s", min(before))
    wait_until(lambda: len(workers()) == len(before) and not workers() <= before)
    assert login().status == 200
