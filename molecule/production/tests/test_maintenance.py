"""A site that is closed for maintenance by playbook, with TLS, behind a balancer, under a prefix."""

import pytest

LOGIN = "/omero/webclient/login/"


@pytest.fixture
def maintain(play):
    """Run the playbook; the site is open in the end."""

    def maintain(**variables):
        code, output = play("playbooks/maintenance.yml", **variables)
        assert code == 0, output
        return " ".join(output.split())

    yield maintain
    assert "The site is open." in maintain(omero_web_maintenance="off")


def test_a_site_is_closed_and_opened_by_playbook(maintain, ask, variables):
    plain = "http://{ansible_host}:{omero_web_http_port}".format(**variables)
    health = variables["omero_web_health_path"]
    page = {"omero_web_maintenance_until": "Friday", "omero_web_maintenance_text": "We move to a larger disk."}
    assert "The site is closed until Friday, since " in maintain(omero_web_maintenance="on", **page)
    for address in LOGIN, plain + LOGIN, "/static/webclient/css/layout.css":
        answer = ask(address)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "600")
        assert b"We move to a larger disk." in answer.body
    assert [ask(address).status for address in (health, plain + health)] == [200, 200]
    assert "The site is closed until Friday" in maintain()
    who = {"omero_web_maintenance_let_through": ["192.0.2.7"], "omero_web_maintenance_fail_health": True}
    maintain(omero_web_maintenance="on", **who)
    assert [ask(address).status for address in (LOGIN, health, plain + health)] == [503, 503, 503]
    # By the balancer, of which the site is told.
    assert ask(LOGIN, **{"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}).status == 200
    assert ask(LOGIN, **{"X-Forwarded-For": "192.0.2.8", "X-Forwarded-Proto": "https"}).status == 503
    assert "The site is open." in maintain(omero_web_maintenance="off")
    assert ask(LOGIN).status == 200
