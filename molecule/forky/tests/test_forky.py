"""What is particular to the Debian that comes next."""


def test_commands_are_where_its_own_sudo_does_not_look(host):
    paths = host.check_output("sed -n 's/^Defaults secure_path=//p' /etc/sudoers").strip('"').split(":")
    assert "/usr/bin" in paths and "/usr/local/bin" not in paths
    assert host.run("env PATH=%s omero-web --help", ":".join(paths)).rc == 127
    assert host.run("env PATH=%s /usr/local/bin/omero-web --help", ":".join(paths)).rc == 0


def test_python_and_systemd_are_those_of_the_documentation(host):
    assert host.check_output("python3 --version").startswith("Python 3.14.")
    assert host.check_output("systemctl --version").startswith("systemd 26")
