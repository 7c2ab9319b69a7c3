"""An administrator whose sudo asks for a password is told so, and gets on with it."""

import pytest

NAME, PASSWORD = "typist", "typed"
HOME = f"/home/{NAME}"


@pytest.fixture
def typist(host, variables):
    """A user like that of the inventory, whom sudo asks for a password."""
    keys = host.user(variables["ansible_user"]).home + "/.ssh"
    host.check_output(f"useradd --create-home {NAME} && echo {NAME}:{PASSWORD} | chpasswd")
    host.check_output(f"cp --recursive {keys} {HOME}/ && chown --recursive {NAME}: {HOME}/.ssh")
    host.check_output(f"echo '{NAME} ALL=(ALL) ALL' > /etc/sudoers.d/{NAME}")
    yield NAME
    host.check_output(f"pkill -u {NAME}; rm /etc/sudoers.d/{NAME}; userdel --force --remove {NAME}")


def test_a_sudo_that_asks_for_a_password(typist, refused, play):
    assert "changed=0" in refused("Missing sudo password", ansible_user=typist)
    code, output = play(ansible_user=typist, ansible_become_password=PASSWORD)
    assert code == 0, output
    assert "changed=0" in output
