"""Action: let the module omero_web_benchmark measure a site, or workers beside it, and write what was found."""

import json
import re
import runpy
import time
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from urllib.parse import urlsplit

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))
written = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_benchmark_report.py"))))

# What kinds of workers differ by.
PROPERTIES = re.compile(r"omero\.web\.wsgi_(worker_class|workers|threads|worker_connections)")
# What else a release needs for a kind of workers: its name for Python, and in the table of methods.
NEEDED = {"gevent": ("gevent", "gevent"), "threads": ("concurrent.futures", "threads")}
LOGIN_PAGE = "/webclient/login/"


def what_is_left(found):
    """Return a comparison that failed as one without any kind of workers: what the site serves was measured before."""
    return {"changed": False, "rows": [], "kinds": [], "stopped": found["msg"].rstrip("."), "slowest_ms": 0}


def live_of(look):
    """Return the manifest of the live generation, None if there is none that could be asked."""
    found = [one["manifest"] for one in look["generations"] if one["number"] == look["current"]]
    return found[0] if found and "host" in found[0] else None


def address_of(base_url, host):
    """Return where another host asks for what a host asks itself for at 127.0.0.1."""
    host = f"[{host}]" if ":" in host else host
    return base_url.replace("//127.0.0.1:", f"//{host}:")


def place_of(variables, manifest, is_elsewhere, address):
    """Return where a site is asked, by which name, and how it is told whether it serves its users."""
    url, prefix = variables["omero_web_benchmark_url"], manifest["prefix"]
    login = prefix + LOGIN_PAGE
    if url:
        # Whoever is before the site need not know its health checks.
        return {"url": url, "host": urlsplit(url).netloc, "health": login}
    base = manifest["url"].removesuffix(prefix)
    has_health = wanted.boolean(variables["omero_web_nginx"]) and variables["omero_web_health_path"]
    return {
        "url": address_of(base, address) if is_elsewhere else base,
        "host": manifest["host"],
        "health": variables["omero_web_health_path"] if has_health else login,
    }


def user_of(variables):
    """Return who asks for what not everybody may see; the public user, who has no name, for pictures alone."""
    if not variables["omero_web_benchmark_user"] and not variables["omero_web_benchmark_images"]:
        return None
    return {
        "user": variables["omero_web_benchmark_user"],
        "password": variables["omero_web_benchmark_password"],
        "server": int(variables["omero_web_benchmark_server"]),
    }


def limits_of(variables):
    return {
        "requests": int(variables["omero_web_benchmark_requests"]),
        "seconds": int(variables["omero_web_benchmark_seconds"]),
        "concurrency": [int(one) for one in variables["omero_web_benchmark_concurrency"]],
        "rate": float(variables["omero_web_benchmark_rate"]),
        "patience": float(variables["omero_web_benchmark_patience"]),
        "timeout": int(variables["omero_web_benchmark_timeout"]),
    }


def workers_of(site, kind, cores):
    """Return the properties that the role would write for a kind of workers."""
    own = {f"omero_web_{name}": value for name, value in kind.items() if value}
    return properties_of({**site["variables"], "omero_web_worker_class": "sync", "omero_web_threads": 1, **own}, cores)


def properties_of(variables, cores):
    settings = wanted.convenience_settings(variables, False, {"settings": {}}, cores)
    return {name: value for name, value in settings.items() if PROPERTIES.fullmatch(name)}


def own_workers_of(site, cores):
    """Return the properties that the site has for its own workers."""
    variables = site["variables"]
    own = {name: value for name, value in variables["omero_web_config"].items() if PROPERTIES.fullmatch(name)}
    return {**properties_of(variables, cores), **own}


def name_of_kind(settings):
    worker_class, workers, threads = (
        settings[f"omero.web.wsgi_{name}"] for name in ("worker_class", "workers", "threads")
    )
    name = f"{workers} {worker_class} worker{'s' if int(workers) > 1 else ''}"
    return f"{name} of {threads} threads" if worker_class == "sync" and int(threads) > 1 else name


def variables_of(settings):
    """Return the variables by which the role deploys a kind of workers, as people write them."""
    names = ("worker_class", "workers", "threads")
    return ", ".join(f"omero_web_{name}: {settings[f'omero.web.wsgi_{name}']}" for name in names)


def kind_of(site, constants, kind, cores, python):
    """Return a kind of workers as the module takes it, with what else the release may need for it."""
    settings = workers_of(site, kind, cores)
    is_gevent = settings["omero.web.wsgi_worker_class"] == "gevent"
    package, name = NEEDED["gevent" if is_gevent else "threads"]
    method = constants["_omero_web_methods"]["archive" if python.startswith("2.") else "pypi"]
    version = wanted.newest_for(constants["_omero_web_gevents"], python).get("version", "0")
    packages = method[name] if is_gevent or int(settings["omero.web.wsgi_threads"]) > 1 else []
    return {
        "name": name_of_kind(settings),
        "workers": int(settings["omero.web.wsgi_workers"]),
        "settings": settings,
        "needs": package if packages else "",
        "packages": [one.format(gevent=version) for one in packages],
    }


def kinds_of(site, constants, look, release):
    python = look["releases"].get(release, {}).get("python", "").split()[-1:]
    kinds = site["variables"]["omero_web_benchmark_compare"]
    found = [kind_of(site, constants, kind, look["cores"], python[0] if python else "3") for kind in kinds]
    return list({kind["name"]: kind for kind in found}.values())


class ActionModule(wanted.RoleAction):
    _VALID_ARGS = frozenset(("measure", "site", "workers"))

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        self.look, site = self.variables["__omero_web_host"], self.checked["variables"]
        self.manifest = live_of(self.look)
        if self.manifest is None:
            return {**result, "failed": True, "msg": f"{self.hostname} runs no OMERO.web yet; run site.yml first."}
        self.directory = Path(site["omero_web_benchmark_directory"]).expanduser().absolute()
        try:
            # Before anything is measured that could not be kept.
            self.directory.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=self.directory).close()
            if self._task.args["measure"] == "nothing":
                measured = (wanted.plain(self._task.args[name]) for name in ("site", "workers"))
                return {**result, **self._written(*measured)}
        except OSError as error:
            reason = f"omero_web_benchmark_directory is {self.directory}, which cannot be written: {error.strerror}."
            return {**result, "failed": True, "msg": reason}
        compares = self._task.args["measure"] == "workers"
        arguments = self._workers() if compares else self._site()
        found = self._execute_module("omero_web_benchmark", module_args=arguments, task_vars=task_vars)
        if found.get("msg"):
            found["msg"] = self.evaluated("_omero_web_masked_text", _omero_web_log=found["msg"])
        return {**result, **(what_is_left(found) if compares and found.get("failed") else found)}

    def _place(self, is_elsewhere):
        return place_of(
            self.checked["variables"],
            self.manifest,
            is_elsewhere,
            str(self.variables.get("ansible_host") or self.hostname),
        )

    def _common(self):
        variables = self.checked["variables"]
        user = user_of(variables)
        return {
            **limits_of(variables),
            "name": self.constants["_omero_web_name"],
            "by": self.by(),
            "prefix": self.manifest["prefix"],
            "static_url": self.manifest["static_url"],
            "paths": variables["omero_web_benchmark_paths"],
            "images": [int(image) for image in variables["omero_web_benchmark_images"]],
            # As text: so that Ansible takes it for one value, which is secret.
            "user": json.dumps(user) if user else None,
        }

    def _site(self):
        return {**self._common(), **self._place(self._is_elsewhere())}

    def _is_elsewhere(self):
        return self.constants["_omero_web_benchmark_host"] != self.hostname

    def _workers(self):
        variables = self.checked["variables"]
        pip = {"install": self.checked["pip_install"], "sources": self.checked["pip_sources"]}
        return {
            **self._common(),
            **place_of({**variables, "omero_web_benchmark_url": ""}, self.manifest, False, ""),
            "kinds": self._kinds(),
            "pip": json.dumps(pip),
            "basedir": variables["omero_web_basedir"],
            "service_user": variables["omero_web_user"],
            "group": variables["omero_web_group"],
            "start_timeout": int(variables["omero_web_start_timeout"]),
        }

    def _kinds(self):
        live = next(one for one in self.look["generations"] if one["number"] == self.look["current"])
        return kinds_of(self.checked, self.constants, self.look, live["release"])

    def _written(self, site, compared):
        """Write the report, and return what it says."""
        now = time.localtime()
        report = self._report(site, compared, time.strftime("%Y-%m-%d %H:%M %Z", now))
        start = self.directory / f"{self.hostname}-{time.strftime('%Y%m%d-%H%M%S', now)}"
        files = {"json": json.dumps(report, indent=4), "csv": written.as_csv(report), "html": written.as_page(report)}
        paths = [start.with_name(f"{start.name}.{ending}") for ending in files]
        for path, text in zip(paths, files.values(), strict=True):
            path.write_text(text, encoding="utf-8")
        return {"says": [*report["says"], f"The report is {paths[-1]}."], "files": [str(path) for path in paths]}

    def _report(self, site, compared, when):
        current = name_of_kind(own_workers_of(self.checked, self.look["cores"]))
        variables = {kind["name"]: variables_of(kind["settings"]) for kind in self._kinds()}
        kinds = [
            {**kind, "is_current": kind["name"] == current, "variables": variables[kind["name"]]}
            for kind in compared.get("kinds", [])
        ]
        report = {
            "host": self.hostname,
            "title": self.constants["_omero_web_title"],
            "release": self.manifest["omero_web"],
            "generation": self.look["current"],
            "time": when,
            "by": self.by(),
            "url": self._place(self._is_elsewhere())["url"] + self.manifest["prefix"],
            "from": self.constants["_omero_web_benchmark_host"],
            "cores": self.look["cores"],
            "workers": current,
            "limits": limits_of(self.checked["variables"]),
            "rows": [*site["rows"], *compared.get("rows", [])],
            "kinds": kinds,
            "stopped": site["stopped"] or compared.get("stopped", ""),
            "rest_ms": site["rest_ms"],
            "slowest_ms": max(site["slowest_ms"], compared.get("slowest_ms", 0)),
        }
        return {**report, "says": list(written.findings(report))}
