"""What firewalld and ufw say of themselves, as they printed it on hosts of theirs."""

import pytest
from ansible.module_utils import omero_web_firewall as firewall
from ansible.module_utils.omero_web_systemd import Done

# Of firewalld 1.3; 2.x says of the default zone that it is, beside whether it is active.
ZONES = """\
internal (active)
  target: default
  icmp-block-inversion: no
  interfaces: eth0 eth1
  sources: 10.0.0.0/8
  services: mine ssh
  ports: 8000-8100/tcp 53/udp 80/tcp
  protocols: 
  forward: yes
  rich rules: 
\trule family="ipv4" source address="10.0.0.0/8" port port="81" protocol="tcp" accept

public (default, active)
  target: default
  ingress-priority: 0
  interfaces: 
  sources: 
  services: ssh
  ports: 

trusted
  target: ACCEPT
  icmp-block-inversion: no
  interfaces: 
  sources: 
  services: 
  ports: 
"""  # noqa: W291
UFW = """\
Status: active
Logging: on (low)
Default: deny (incoming), allow (outgoing), deny (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
22/tcp                     ALLOW IN    Anywhere                  
80,443/tcp (Nginx Full)    ALLOW IN    Anywhere                  
8080                       LIMIT IN    Anywhere                  
5000                       ALLOW IN    10.0.0.0/8                
5001/tcp on host0          ALLOW IN    Anywhere                  
1000:2000/tcp              ALLOW IN    Anywhere                  
7000/tcp                   ALLOW IN    Anywhere                   (log) # x y
7001/tcp                   ALLOW IN    Anywhere                   # OMERO.web
53/udp                     ALLOW IN    Anywhere                  
99                         DENY IN     Anywhere                  
81                         ALLOW OUT   Anywhere                  
82/tcp (v6)                ALLOW IN    Anywhere (v6)             
"""  # noqa: W291
ACTIVE = {"active": "active", "enabled": "enabled"}


class Commands:
    """Answers by what a command line ends with; what is not known fails."""

    def __init__(self, **outputs):
        self.outputs = {words.replace("_", " "): output for words, output in outputs.items()}
        self.ran = []

    def run(self, *command, **_):
        self.ran.append(" ".join(" ".join(command).replace("-", " ").split()))
        output = next((text for words, text in self.outputs.items() if self.ran[-1].endswith(words)), None)
        return Done(1 if output is None else 0, output or "", "")


def of_firewalld(permanent=ZONES):
    return Commands(get_default_zone="public\n", permanent_list_all_zones=permanent, list_all_zones=ZONES)


@pytest.fixture(autouse=True)
def services(tmp_path, monkeypatch):
    """Two directories of services; what is in the first one is the administrator's."""
    for place, name, port in (("etc", "mine", "8443"), ("usr", "ssh", "22"), ("usr", "mine", "1")):
        (tmp_path / place).mkdir(exist_ok=True)
        text = f'<service><port protocol="tcp" port="{port}"/><port port="9" protocol="udp"/></service>'
        (tmp_path / place / f"{name}.xml").write_text(text)
    monkeypatch.setattr(firewall, "SERVICES", (str(tmp_path / "etc"), str(tmp_path / "usr")))
    monkeypatch.setattr(firewall, "UFW_CONF", str(tmp_path / "ufw.conf"))
    return tmp_path


def test_firewalld():
    found = firewall.Firewall(of_firewalld(), ACTIVE).look()
    assert (found["name"], found["default"]) == ("firewalld", "public")
    assert found["zones"]["internal"] == {
        "interfaces": ["eth0", "eth1"],
        "sources": ["10.0.0.0/8"],
        "accepts": False,
        "now": ["22", "80", "8000-8100", "8443"],
        "later": ["22", "80", "8000-8100", "8443"],
    }
    assert [name for name, zone in sorted(found["zones"].items()) if zone["accepts"]] == ["trusted"]


def test_what_firewalld_has_now_and_will_have():
    commands = of_firewalld(permanent=ZONES.replace(" 80/tcp", " 81/tcp").replace("trusted\n", "another\n"))
    zones = firewall.Firewall(commands, ACTIVE).look()["zones"]
    assert zones["internal"]["now"] == ["22", "80", "8000-8100", "8443"]
    assert zones["internal"]["later"] == ["22", "8000-8100", "81", "8443"]
    # A zone that was made for now alone.
    assert zones["trusted"]["later"] == []
    assert "another" not in zones


@pytest.mark.parametrize(
    "unit, command",
    [
        (ACTIVE, "firewall cmd"),
        ({"active": "active", "enabled": "disabled"}, "firewall cmd"),
        ({"active": "inactive", "enabled": "enabled"}, "firewall offline cmd"),
        ({"active": "failed", "enabled": "enabled"}, "firewall offline cmd"),
        ({"active": "inactive", "enabled": "masked"}, ""),
        ({"active": "inactive", "enabled": "disabled"}, ""),
        ({}, ""),
    ],
)
def test_firewalld_that_runs_or_will(unit, command):
    commands = of_firewalld()
    found = firewall.Firewall(commands, unit).look()
    assert bool(found) == bool(command)
    assert all(ran.startswith(f"{command} ") for ran in commands.ran)


def test_firewalld_that_gives_no_answer():
    assert firewall.Firewall(Commands(), ACTIVE).look() == {}


@pytest.mark.parametrize("text", ["<service>", "<service/>", '<service><port port="80"/></service>'])
def test_a_service_without_a_port(services, text):
    (services / "usr/odd.xml").write_text(text)
    assert firewall.ports_of_service("odd") == []
    assert firewall.ports_of_service("missing") == []


def test_ufw(services):
    commands = Commands(ufw_status_verbose=UFW)
    assert firewall.Firewall(commands, {}).look() == {}
    (services / "ufw.conf").write_bytes(b"# Caf\xe9\n# ENABLED=no\nENABLED=yes\n")
    ports = ["1000-2000", "22", "443", "7000", "7001", "80", "8080"]
    zone = {"interfaces": [], "sources": [], "accepts": False, "now": ports, "later": ports}
    assert firewall.Firewall(commands, {}).look() == {"name": "ufw", "default": "", "zones": {"": zone}}
    lets_all_in = Commands(ufw_status_verbose=UFW.replace("deny (incoming)", "allow (incoming)"))
    assert firewall.Firewall(lets_all_in, {}).look()["zones"][""]["accepts"]
    assert firewall.Firewall(Commands(ufw_status_verbose="Status: inactive\n"), {}).look() == {}


@pytest.mark.parametrize(
    "text, expected",
    [
        ('[{"zone": "public", "port": 80}]', [{"zone": "public", "port": 80}]),
        ("", []),
        ("{}", []),
        ('[1, {"zone": "public"}]', []),
    ],
)
def test_what_the_role_has_opened(tmp_path, text, expected):
    assert firewall.opened(str(tmp_path)) == []
    (tmp_path / "firewall").write_text(text)
    assert firewall.opened(str(tmp_path)) == expected


ROUTE = """\
Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
eth0 00000000 0D12C6C6 0003 0 0 0 00000000 0 0 0
eth1 0000000A 00000000 0001 0 0 0 000000FF 0 0 0
eth2 00000000 00000000 0001 0 0 0 00000080 0 0 0
"""
ROUTE_V6 = "\n".join(
    f"{destination} {length} {'0' * 32} 00 {'0' * 32} 00000400 00000001 00000000 00000003 {interface}"
    for destination, length, interface in (
        ("0" * 32, "00", "eth3"),
        ("0" * 32, "00", "lo"),
        ("fe80" + "0" * 28, "40", "eth4"),
    )
)


def test_interfaces_to_outside(tmp_path, monkeypatch):
    for name, text in (("ROUTES", ROUTE), ("ROUTES_V6", ROUTE_V6)):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(firewall, name, str(tmp_path / name))
    assert firewall.interfaces_to_outside() == ["eth0", "eth3"]
    monkeypatch.setattr(firewall, "ROUTES_V6", str(tmp_path / "nowhere"))
    assert firewall.interfaces_to_outside() == ["eth0"]
