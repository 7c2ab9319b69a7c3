"""The stand-in for OMERO.server: who is logged in and for how long, its switches, its settings, its certificate."""

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from stand_in import certificates, settings, switches
from stand_in.pace import Pace
from stand_in.sessions import Refused, Sessions
from stand_in.world import World

PACKAGE = Path(__file__).parents[1] / "omero-server"


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sessions(clock):
    return Sessions(World(), {"researcher": "secret", "colleague": ""}, time_to_idle=60, clock=clock)


def test_login(sessions):
    session = sessions.create("researcher", "secret")
    assert session.user.login == "researcher" and session.group == session.user.groups[0]
    assert sessions.find(session.uuid) is session
    assert sessions.create("researcher", "secret").uuid != session.uuid


def test_guest_needs_no_password_of_the_settings(sessions):
    assert sessions.create("guest", "guest").user.login == "guest"


@pytest.mark.parametrize(("name", "password"), [
    ("researcher", "wrong"), ("researcher", ""), ("researcher", "Secret"), ("nobody", "secret"), ("nobody", "nobody"),
    ("colleague", ""), ("public", "public"), ("root", "root"), ("", ""),
])  # fmt: skip
def test_refused_logins_all_look_the_same(sessions, name, password):
    with pytest.raises(Refused, match="^Password check failed$"):
        sessions.create(name, password)


def test_session_is_joined_by_its_uuid(sessions):
    session = sessions.create("researcher", "secret")
    assert sessions.create(session.uuid, session.uuid) is session
    with pytest.raises(Refused):
        sessions.create(session.uuid, "secret")


def test_session_that_was_begun_for_a_user_is_joined_like_any_other(sessions):
    session = sessions.begin(sessions.world.user_called("colleague"))
    assert sessions.create(session.uuid, session.uuid).user.login == "colleague"


def test_idle_session_ends(sessions, clock):
    session = sessions.create("researcher", "secret")
    for _ in range(3):
        clock.now += 50
        assert sessions.find(session.uuid), "each use prolongs it"
    clock.now += 61
    assert sessions.find(session.uuid) is None
    with pytest.raises(Refused):
        sessions.create(session.uuid, session.uuid)


def test_time_to_idle_can_be_shortened(sessions, clock):
    session = sessions.create("researcher", "secret")
    sessions.at_most = 5
    clock.now += 4
    assert sessions.find(session.uuid)
    clock.now += 6
    assert sessions.find(session.uuid) is None


def test_closed_session_is_gone(sessions):
    session, other = (sessions.create("researcher", "secret") for _ in range(2))
    sessions.close(session.uuid)
    sessions.close(session.uuid)
    assert sessions.find(session.uuid) is None and sessions.find(other.uuid) is other


def test_lost_sessions(sessions, clock):
    before = sessions.create("researcher", "secret")
    clock.now += 1
    sessions.lost_before = clock.now
    after = sessions.create("researcher", "secret")
    assert sessions.find(before.uuid) is None and sessions.find(after.uuid) is after


def test_switches_as_words():
    state = switches.parse(["latency=2.5", "refuse=getThumbnail*,load", "bytes_per_second=1000"])
    assert state == switches.State(latency=2.5, refuse=("getThumbnail*", "load"), bytes_per_second=1000)
    assert switches.parse([]) == switches.State()
    assert switches.parse(["hang="]).hang == ()
    assert switches.parse(["version=5.4.10"]).version == "5.4.10"
    assert switches.parse(["sessions_lost=now"], now=lambda: 7.0).sessions_lost == 7


@pytest.mark.parametrize(("word", "sentence"), [
    ("latencies=2", "'latencies=2' is no switch; there are latency="),
    ("latency", "'latency' is no switch"),
    ("latency=much", "'latency=much' needs a number$"),
    ("latency=now", "'latency=now' needs a number$"),
    ("latency=-1", "that is not negative"),
    ("bytes_per_second=nan", "that is not negative"),
])  # fmt: skip
def test_bad_switch(word, sentence):
    with pytest.raises(switches.BadSwitch, match=sentence):
        switches.parse([word])


def test_slow_calls():
    state = switches.State(latency=1, slow=("render*",))
    assert state.is_slow("renderCompressed") and not state.is_slow("load")
    assert switches.State(latency=1).is_slow("load") and not switches.State().is_slow("load")
    assert switches.matches("getThumbnailDirect", ("load", "getThumbnail*"))
    assert not switches.matches("reload", ("load",))


def test_switches_are_read_again_when_they_have_changed(tmp_path):
    path = tmp_path / "switches.json"
    read = switches.Switches(path)
    assert read.state == switches.State()
    for state in (switches.State(latency=1.5), switches.State(hang=("load",)), switches.State()):
        switches.write(path, state)
        assert read.state == state
        assert read.state is read.state, "and not read again without need"
    path.unlink()
    assert read.state == switches.State()


@pytest.mark.parametrize("words", [["latency=1"], []])
def test_switch_command(tmp_path, words):
    path = tmp_path / "switches.json"
    command = [sys.executable, "-m", "stand_in", "switch", "--file", path, *words]
    subprocess.run(command, cwd=PACKAGE, check=True)
    assert switches.Switches(path).state == switches.parse(words)


@pytest.mark.parametrize("arguments", [["switch", "latency=x"], ["serve", "/nowhere.json"]])
def test_commands_say_what_is_wrong(arguments):
    done = subprocess.run([sys.executable, "-m", "stand_in", *arguments], cwd=PACKAGE, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("stand_in: ") and "Traceback" not in done.stderr


@pytest.fixture
def read_settings(tmp_path):
    def read(text):
        (tmp_path / "settings.json").write_text(text)
        return settings.read(tmp_path / "settings.json")

    return read


def test_settings(read_settings):
    assert read_settings("{}") == settings.Settings()
    read = read_settings(json.dumps({"passwords": {"researcher": "x"}, "tcp_port": 0, "session_timeout": 2.5}))
    assert (read.passwords, read.tcp_port, read.session_timeout) == ({"researcher": "x"}, 0, 2.5)


@pytest.mark.parametrize(("text", "sentence"), [
    ("[]", "are no JSON object"),
    ("{", "are no JSON: "),
    ('{"port": 1}', "sets 'port', which is no setting; there are passwords"),
    ('{"tcp_port": "1"}', "sets tcp_port to a value of the wrong type"),
    ('{"tcp_port": true}', "sets tcp_port to a value of the wrong type"),
    ('{"passwords": []}', "sets passwords to a value of the wrong type"),
])  # fmt: skip
def test_bad_settings(read_settings, text, sentence):
    with pytest.raises(settings.BadSettings, match=sentence):
        read_settings(text)


def test_certificate_is_made_once_and_for_nobody_else_to_read(tmp_path):
    properties = certificates.make(tmp_path)
    bundle = tmp_path / properties["IceSSL.CertFile"]
    made = bundle.read_bytes()
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["server.p12", "server.pem"]
    shown = subprocess.run(
        ["openssl", "pkcs12", "-in", bundle, "-nokeys", "-passin", f"pass:{properties['IceSSL.Password']}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "stand-in for OMERO.server" in shown.stdout
    certificates.make(tmp_path)
    assert bundle.read_bytes() == made


def test_pace():
    clock, slept = Clock(), []
    pace = Pace(sleep=slept.append, clock=clock)
    pace.wait(1000, 0)
    assert slept == []
    pace.wait(1000, 500)
    assert slept == [2.0]
    pace.wait(500, 500)
    assert slept == [2.0, 3.0], "no faster for asking sooner"
    clock.now += 10
    pace.wait(100, 1000)
    assert slept[-1] == pytest.approx(0.1), "what was not used is not made up for"
