#!/usr/bin/python
"""Stand-in for Ansible's module yum, which needs yum's own code for Python 2: the host's real dnf does the work."""

from ansible.module_utils.basic import AnsibleModule


def main():
    module = AnsibleModule(
        argument_spec={"name": {"type": "list"}, "state": {"type": "str"}, "update_cache": {"type": "bool"}}
    )
    options = ["--assumeyes", "--quiet"] + (["--refresh"] if module.params["update_cache"] else [])
    installed = ["rpm", "--query", "--all"]
    before = module.run_command(installed)
    code, dummy, errors = module.run_command(["yum"] + options + ["install"] + module.params["name"])
    if code != 0:
        module.fail_json(msg=errors.replace("Error: ", ""))
    module.exit_json(changed=module.run_command(installed) != before)


if __name__ == "__main__":
    main()
