#!/usr/bin/python
"""Stand-in for modules of SELinux and firewalld: keeps a record of what they are asked."""

import json
import os

from ansible.module_utils.basic import AnsibleModule

REQUESTS = "/var/lib/el7-shaped/requests"


def main():
    options = ("immediate", "name", "offline", "permanent", "persistent", "port", "ports", "proto", "setype", "state",
               "target", "zone")  # fmt: skip
    module = AnsibleModule(argument_spec={name: {"type": "raw"} for name in options})
    request = {name: value for name, value in module.params.items() if value is not None}
    line = json.dumps(dict(request, module=module._name), sort_keys=True) + "\n"
    if not os.path.isdir(os.path.dirname(REQUESTS)):
        os.makedirs(os.path.dirname(REQUESTS))
    with open(REQUESTS, "a+") as requests:
        requests.seek(0)
        is_new = line not in requests.readlines()
        requests.write(line)
    module.exit_json(changed=is_new)


if __name__ == "__main__":
    main()
