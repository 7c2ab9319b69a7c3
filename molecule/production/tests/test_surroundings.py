"""What a site's apps find around them: packages, environment, directories, units, and numbers of user and group."""

import pytest
from conftest import wait_until


@pytest.fixture
def inside(host, user, main_pid):
    """Run a command as the service, where the service is."""
    return lambda command: host.run(
        "nsenter --target %s --mount -- runuser -u %s -- sh -c %s", main_pid(), user, command
    )


def test_packages_are_there(host, variables):
    assert all(host.package(name).is_installed for name in variables["omero_web_os_packages"])


def test_environment_is_as_it_was_written(host, user, variables, main_pid):
    ((name, text),) = variables["omero_web_environment"].items()
    environment = host.check_output("tr '\\0' '\\n' < /proc/%s/environ", main_pid())
    assert f"{name}={text}" in environment.splitlines()
    # The end of it would be OMERO's own.
    command = "exec() { env; }; . /usr/local/bin/omero"
    assert f"{name}={text}" in host.check_output(f"runuser -u {user} -- bash -c %s", command).splitlines()


def test_service_writes_where_the_site_lets_it(variables, inside):
    (path,) = variables["omero_web_writable_paths"]
    assert inside(f"touch {path}/file").succeeded
    assert "Read-only file system" in inside("touch /srv/file").stderr


def test_units_that_omero_web_needs_are_started_with_it(host, variables, login):
    (needed,) = variables["omero_web_requires"]
    host.check_output("systemctl stop omero-web.target; systemctl stop %s", needed)
    assert not host.service(needed).is_running
    host.check_output("systemctl start omero-web.target")
    wait_until(lambda: login().status == 200)
    assert host.service(needed).is_running


@pytest.mark.parametrize(
    "kind, option, names",
    [
        ("After", "omero_web_after", "After Wants"),
        ("Requires", "omero_web_requires", "After Requires RequiresMountsFor"),
    ],
)
def test_units_are_in_order(host, variables, live, kind, option, names):
    shown = host.check_output("systemctl show omero-web@%s.service", str(live()))
    properties = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    for name in names.split():
        wanted = variables["omero_web_writable_paths" if name == "RequiresMountsFor" else option]
        assert set(wanted) <= set(properties[name].split()), name


def test_user_and_group_have_their_numbers(host, user, variables, refused):
    numbers = variables["omero_web_uid"], variables["omero_web_gid"]
    assert (host.user(user).uid, host.user(user).gid) == numbers
    sentence = "omero_web_uid is 2952, and on production-bookworm the user omero-web has 2950, and files by it"
    assert "changed=0" in refused(sentence, omero_web_uid=2952)
