"""How users come in: by TLS at the balancer, and by the name that a set of hosts has."""

import json

import pytest
from clients import LOGIN, User
from conftest import NAME, USER, exhaustive, who_sees

CURATORS, PUBLIC = "omero-web.example.org", "public.example.org"
ACCESS_LOG = "/var/log/nginx/omero-web.access.log"
OTHER_DJANGO = "5.29.3"


@pytest.fixture
def given(tmp_path, webs, issue):
    """An inventory beside the scenario's: a certificate at the balancers, and a name of its own for the second host."""
    certificate, key = issue(CURATORS)
    tls = {"omero_web_tls_certificate": certificate, "omero_web_tls_key": key}
    inventory = {
        "omero_web_lb": {"vars": tls},
        "omero_web": {"hosts": {list(webs)[1]: {"omero_web_server_names": [PUBLIC]}}},
    }
    path = tmp_path / "entrances.json"
    path.write_text(json.dumps(inventory))
    return path


@exhaustive
def test_users_come_by_tls_and_to_the_set_whose_name_they_ask_for(play, given, variables, passwords, webs, ask):
    code, output = play("playbooks/site.yml", "-i", given)
    assert code == 0, output
    address = variables["ansible_host"]
    user = User(f"https://{address}")
    assert user.log_in(NAME, passwords[NAME]).status_code == 302
    assert {cookie.name for cookie in user.session.cookies if cookie.secure} == {"sessionid", "csrftoken"}
    assert ask(f"http://{address}{LOGIN}", Host=CURATORS).headers["Location"] == f"https://{CURATORS}{LOGIN}"

    def asked():
        return {name: int(web.check_output(f"wc -l < {ACCESS_LOG}")) for name, web in webs.items()}

    first, second = webs
    for host_name, asks, other in (CURATORS, first, second), (PUBLIC, second, first):
        before = asked()
        cookie = f"sessionid={user.session.cookies['sessionid']}"
        for _ in range(5):
            page = ask(f"https://{address}/webclient/", Cookie=cookie, Host=host_name)
            assert who_sees(page.body.decode()) == USER, "both sets know who is logged in"
        after = asked()
        assert after[asks] >= before[asks] + 5 and after[other] == before[other]
    code, output = play("playbooks/site.yml", "-i", given)
    assert output.count("changed=0") == 5, output


@exhaustive
def test_all_hosts_are_equal_again(play, out, variables, ask):
    code, output = play()
    assert code == 0, output
    assert out() == []
    assert ask(f"http://{variables['ansible_host']}{LOGIN}", Host=PUBLIC).status == 200


@exhaustive
@pytest.mark.parametrize("way", [{"omero_web_release": OTHER_DJANGO}, {"playbook": "playbooks/rollback.yml"}])
def test_hosts_with_another_django_change_together(play, way, log_in, who_is, generations_live, out):
    session, before = log_in(), generations_live()
    assert who_is(session) == USER
    code, output = play(**way)
    assert code == 0, output
    assert "leave-balancers.yml" not in output, "no host waits for its turn"
    assert all(number != before[name] for name, number in generations_live().items())
    assert out() == []
    assert {who_is(session) for _ in range(8)} == {None}, "each host asks to log in again"
    session = log_in()
    assert {who_is(session) for _ in range(8)} == {USER}
