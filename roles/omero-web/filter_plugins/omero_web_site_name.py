"""Filter: of the names of a site, the one to ask it for, as its users do and as OMERO.web answers to it."""

import json
import re
from contextlib import suppress

# Not what nginx has for "any", nor a pattern.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


def is_allowed(name, allowed_hosts):
    """As Django has it: a name, one with a dot before it for all below it, too, or a star for all."""
    name = name.lower()
    return any(
        host == "*" or name == host.lower() or (host.startswith(".") and f".{name}".endswith(host.lower()))
        for host in allowed_hosts
    )


def omero_web_site_name(server_names, allowed_hosts, node):
    """A site whose names are all refused is asked for the first of them: that it fails is what it has to be told."""
    if isinstance(allowed_hosts, str):
        with suppress(ValueError):
            allowed_hosts = json.loads(allowed_hosts)
    allowed_hosts = [host for host in allowed_hosts if isinstance(host, str)] if isinstance(allowed_hosts, list) else []
    names = [name for name in server_names if NAME.fullmatch(name)]
    good = [name for name in names if is_allowed(name, allowed_hosts)]
    others = [host.lstrip(".") for host in allowed_hosts if NAME.fullmatch(host.lstrip("."))]
    return [*good, *names, *others, *filter(NAME.fullmatch, [node]), "localhost"][0]


class FilterModule:
    def filters(self):
        return {"omero_web_site_name": omero_web_site_name}
