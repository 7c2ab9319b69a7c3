"""What else is on a host: another OMERO.web, a user and a lock that others use too, a proxy for the world outside."""

import json

import pytest
from conftest import exhaustively

LOCK = "/run/omero-web.lock"


@pytest.mark.parametrize(
    "wanted, has",
    [
        ({"omero_web_basedir": "/srv/web"}, "/opt/omero/web"),
        *exhaustively(({"omero_web_user": "another"}, "omero-web"), ({"omero_web_group": "another"}, "omero-web")),
    ],
)
def test_another_omero_web_is_refused(refused, host, live, wanted, has):
    before = live()
    ((name, value),) = wanted.items()
    sentence = f"{name} is {value}, and default-bookworm has an OMERO.web with {has}, which the new one would take down"
    for playbook in "playbooks/site.yml", "playbooks/rollback.yml":
        assert "changed=0" in refused(sentence, playbook, **wanted)
    assert live() == before
    assert not host.file("/srv/web").exists


def test_an_omero_web_that_was_installed_in_another_way(refused, play, host, live):
    """It is refused until it has been taken away, or is described (scenario adoption)."""
    before = live()
    unit, conf = "/etc/systemd/system/omero-web.service", "/etc/nginx/conf.d/omeroweb.conf"
    host.check_output("printf '[Service]\\nExecStart=sleep 600\\n[Install]\\nWantedBy=multi-user.target\\n' > %s", unit)
    host.check_output("touch %s && systemctl daemon-reload && systemctl enable --now omero-web.service", conf)
    sentence = f"has an OMERO.web that was installed in another way ({unit}, {conf}); let playbooks/adopt.yml write"
    assert "changed=0" in refused(sentence, omero_web_threads=2)
    assert host.service("omero-web.service").is_running
    host.check_output("systemctl disable --now omero-web.service && rm %s %s && systemctl daemon-reload", unit, conf)
    code, output = play()
    assert code == 0, output
    assert "changed=0" in output
    assert live() == before


def test_a_user_that_exists_stays_as_it_is(host, play, user):
    host.check_output("usermod --shell /bin/sh %s && rm /usr/local/bin/omero", user)
    before = host.check_output("getent passwd %s && id %s", user, user)
    code, output = play()
    assert code == 0, output
    assert host.check_output("getent passwd %s && id %s", user, user) == before
    host.check_output("usermod --shell /usr/sbin/nologin %s", user)


def test_a_lock_that_somebody_else_keeps(host, play):
    """Whoever could open its file, when everybody could, can keep it; what they keep is no longer the lock."""
    host.check_output("touch %s && chmod 0644 %s", LOCK, LOCK)
    host.check_output(f"systemd-run --quiet --unit=keeper --property=User=nobody flock --shared {LOCK} sleep 600")
    try:
        code, output = play(omero_web_lock_timeout=3, omero_web_threads=2)
        assert code == 0, output
    finally:
        host.check_output("systemctl stop keeper")
    assert host.file(LOCK).mode == 0o600
    assert host.run("runuser -u nobody -- flock --shared %s true", LOCK).failed


def test_somebody_else_who_installs_packages(host, start_play):
    """Such as the run of another instance on the host, or the system that upgrades itself."""
    host.check_output("apt-get remove --quiet --yes brotli")
    keep = "import fcntl, signal; lock = open('/var/lib/dpkg/lock-frontend', 'w'); fcntl.lockf(lock, 2); signal.pause()"
    host.check_output("systemd-run --quiet --unit=keeper --property=Type=exec python3 -c %s", keep)
    process = start_play()
    output = ""
    for line in process.stdout:
        output += line
        if "FAILED - RETRYING" in line:
            host.run("systemctl stop keeper")
    host.run("systemctl stop keeper")
    assert "Install the packages (" in output
    assert process.wait() == 0, output
    assert host.package("brotli").is_installed


def test_a_host_that_reaches_the_world_through_a_proxy(host, play):
    """None that answers: the host asks itself without."""
    host.check_output("echo http_proxy=http://127.0.0.1:9 > /etc/proxy")
    host.check_output("echo 'Defaults env_file=/etc/proxy' > /etc/sudoers.d/proxy")
    try:
        assert "http_proxy" in host.check_output("env")
        code, output = play()
        assert code == 0, output
    finally:
        host.check_output("rm /etc/proxy /etc/sudoers.d/proxy")


def test_a_generation_of_an_older_version_of_the_role(host, basedir, play, live, generations, login):
    """Its manifest lacks most of what going back to it takes, and its unit is as units were then."""
    newest = live()

    def manifest_of(number):
        """What it says of itself; one that failed says nothing there."""
        return json.loads(host.run("cat %s", f"{basedir}/generations/{number}/manifest").stdout or "{}")

    # Where tests look for the site.
    older = [number for number in generations() if number != newest and manifest_of(number).get("prefix") == ""][-1]
    directory = f"{basedir}/generations/{older}"
    known = ("generation", "previous", "parts", "prefix", "former_prefixes", "omero_web", "made", "made_by")
    text = json.dumps({key: manifest_of(older)[key] for key in known})
    host.check_output("cat > %s <<'MANIFEST'\n" + text + "\nMANIFEST", f"{directory}/manifest")
    host.check_output("rm --force %s %s", f"{directory}/probe.service", f"{directory}/config.digest")
    host.check_output("printf '\n[Install]\nWantedBy=omero-web.target\n' >> %s", f"{directory}/omero-web.service")
    code, output = play("playbooks/rollback.yml", omero_web_generation=older)
    assert code == 0, output
    assert live() == older
    assert login().status == 200
    code, output = play("playbooks/rollback.yml", omero_web_generation=newest)
    assert code == 0, output
    assert live() == newest
