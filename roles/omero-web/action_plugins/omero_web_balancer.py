"""Action: tell the module omero_web_balancer which hosts there are, and what its nginx is to read.

A host that is about to change is led out by its own play, on the balancer; what the balancer's own variables decide is
rendered in the play of the balancer alone (`install`).
"""

import runpy
from pathlib import Path
from types import SimpleNamespace

from ansible.module_utils.parsing.convert_bool import boolean

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))

# The site as it is told to nginx, and the page for when no host answers.
TEMPLATES = {"site": "nginx-balancer.j2", "maintenance": "maintenance.html.j2"}


class ActionModule(wanted.RoleAction):
    _VALID_ARGS = frozenset(("install", "leave", "enter"))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        places, variables = self.constants["_omero_web_balancer"], self.checked["variables"]
        names = variables["omero_web_server_names"]
        arguments = {
            "name": self.constants["_omero_web_name"],
            "by": self.by(),
            "path": places["hosts"],
            "health_path": variables["omero_web_health_path"],
            "host": wanted.site_name(names, ["*"], "localhost"),
            "drain": int(variables["omero_web_drain_seconds"]),
            "slow_start": int(variables["omero_web_slow_start_seconds"]),
            "lock_timeout": int(variables["omero_web_lock_timeout"]),
            **{key: self._task.args.get(key, []) for key in ("leave", "enter")},
        }
        if boolean(self._task.args.get("install", False)):
            arguments.update(self._installed(places))
        found = self._execute_module("omero_web_balancer", module_args=arguments, task_vars=task_vars)
        if found.get("failed"):
            found["msg"] = self.evaluated("_omero_web_masked_text", _omero_web_log=found.get("msg", ""))
        return {**result, **found}

    def _hosts(self):
        """Return the hosts behind the balancer, as users and nginx know them."""
        return [
            {
                "name": host,
                "address": self.address_of_host(host),
                "port": int(self.of_host(host, "omero_web_http_port")),
                "server_names": self.of_host(host, "omero_web_server_names"),
            }
            for host in self.in_group("omero_web")
        ]

    def _installed(self, places):
        """Return the hosts of the balancer, which of them have users, and what it has beside their list."""
        upstreams = wanted.upstreams_of(self._hosts(), self.constants["_omero_web_upstream"])
        known = {"__omero_web_upstreams": upstreams}
        tls = self.checked["tls"]["text"]
        files = {
            places["site"]: {"content": self._rendered("site", known), "mode": "0644"},
            f"{places['pages']}/maintenance.html": {"content": self._rendered("maintenance", known), "mode": "0644"},
            **({self.constants["_omero_web_tls_installed"]: {"content": tls, "mode": "0600"}} if tls else {}),
        }
        hosts = self.in_group("omero_web")
        leave = [host for host in hosts if boolean(self.of_host(host, "omero_web_drained"))]
        family = self.variables["ansible_facts"]["os_family"]
        default_site = self.constants["_omero_web_nginx_default_sites"][family]
        sets = [{key: one[key] for key in ("name", "servers")} for one in upstreams]
        return {"upstreams": sets, "files": files, "leave": leave, "enter": hosts, "default_site": default_site}

    def _rendered(self, name, known):
        own = {"__omero_web_template": TEMPLATES[name], "__omero_web_own": known}
        return self.evaluated("_omero_web_rendered", **own)
