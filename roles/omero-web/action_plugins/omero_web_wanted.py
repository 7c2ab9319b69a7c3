"""What a site wants of a host, from its variables: no action, but what the actions of this role share.

Everything down to `class Evaluated` is pure: plain data in, plain data out, without I/O, Ansible or Jinja. `variables`
are those of the site, evaluated; `constants` are the tables in vars/main. Templates and tasks read what is returned
here as __omero_web_site (that which follows from the variables alone) and in __omero_web_plan (that which follows from
the host, too).
"""

import getpass
import hashlib
import json
import re
import runpy
import socket
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, unquote

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.filter.core import FilterModule
from ansible.plugins.loader import module_utils_loader
from ansible.plugins.test.core import TestModule
from ansible.release import __version__
from ansible.template import generate_ansible_template_vars
from ansible.utils.vars import merge_hash
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.runtime import Context, missing

ROLE = Path(__file__).parents[1]
masked = runpy.run_path(str(ROLE / "filter_plugins/omero_web_masked.py"))["omero_web_masked"]
notices = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_notice.py"))))

# Hosts have one Python or another, by one name or another.
COMMAND_HEAD = b"""#!/bin/sh
exec "$(command -v python3 || command -v /usr/libexec/platform-python || command -v python)" "$0" "$@"
"""
# Where there is none, OMERO's own client takes this one, but none from a URL for which a port is given.
PROTOCOL_PORTS = {"ws": 80, "wss": 443, "tcp": 4063, "ssl": 4064, None: 4064}
# Of the Redis that several hosts share.
REDIS_PORT = 6379
# In the order of the apps, and before what omero_web_config_append has.
APP_LISTS = {
    "omero.web.middleware": "middleware",
    "omero.web.open_with": "open_with",
    "omero.web.ui.center_plugins": "center_plugins",
    "omero.web.ui.metadata_panes": "metadata_panes",
    "omero.web.ui.right_plugins": "right_plugins",
    "omero.web.ui.top_links": "top_links",
}
# Static files are collected for the installed apps.
STATIC = ("omero.web.apps", "omero.web.staticfile_dirs")
# Where a release has its logo, below what it has of the controller's files; the digest of its content comes then.
LOGO = "static/branding/logo-"
# pip reads what may have credentials in it, packages and where they come from, from its standard input: everybody on
# the host sees a command line.
PIP_SOURCE = re.compile(
    r"(?:^|\s)((?:-[if][=\s]?|--(?:index-url|extra-index-url|find-links)[=\s])\s*\S+"
    r"|(?:-[cer][=\s]?|--(?:constraint|editable|requirement)[=\s])\s*\S+://\S+)"
)
# What `pip install` alone knows, of what sites give it.
OF_INSTALL = re.compile(
    r"(?:^|\s)(?:-U|-I|--upgrade|--force-reinstall|--ignore-installed|--compile|--no-compile|--user|--no-warn-\S+"
    r"|--break-system-packages|--(?:upgrade-strategy|root-user-action)[=\s]\s*\S+)(?=\s|$)"
)
# A package for which a version is named, or where to have it from.
VERSIONED = re.compile(r"\s*([A-Za-z0-9][\w.-]*)\s*(?:\[[^]]*\])?\s*[<>=!~@]")
# Not what nginx has for "any", nor a pattern.
SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


def text_of(value):
    return "" if value is None else str(value)


def version_key(version):
    """Order versions as numbers; what is no number comes before every number (5.6.dev1 before 5.6.0)."""
    return [int(part) if part.isdigit() else -1 for part in str(version).split(".")]


def newest_for(rows, python):
    """Return the first row, of those with the newest first, that is for this Python; empty if there is none."""
    return next((row for row in rows if version_key(row["python_from"]) <= version_key(python)), {})


def listed(value):
    """Return the list that a property has, which may be written as JSON; empty if it has none."""
    if isinstance(value, str):
        with suppress(ValueError):
            value = json.loads(value)
    return value if isinstance(value, list) else []


# --- what follows from the variables alone ----------------------------------------------------------------------------


def app_name(app):
    """Return the name that an app has, or that of its package: without a path before it, a version or more after."""
    package = re.sub(r"^([\w.-]+)(?:\[[^]]*\])? *@.*", r"\1", app["package"])
    package = re.sub(r"^(?:.*/)?([\w.-]+?)(?:-\d.*|\.git\b.*|[^\w.-].*)?$", r"\1", package)
    return app.get("name") or package.replace("-", "_")


def app_settings(apps):
    viewers = [app["viewer"] for app in apps if app.get("viewer")]
    settings = {key: value for app in apps for key, value in app.get("settings", {}).items()}
    return {**settings, **({"omero.web.viewer.view": viewers[-1]} if viewers else {})}


def append_of(apps, append):
    """Return what is added to OMERO.web's own lists."""
    lists = {name: [item for app in apps for item in app.get(key, [])] for name, key in APP_LISTS.items()}
    lists = {"omero.web.apps": [app_name(app) for app in apps], **lists}
    return merge_hash({name: items for name, items in lists.items() if items}, append, False, "append")


def server_list(servers):
    def port(server):
        return PROTOCOL_PORTS[re.match(r"(?:(\w+)://)?", server["host"])[1]]

    return [[server["host"], server.get("port") or port(server), server["name"]] for server in servers]


def redis_of(variables, constants, django):
    """Return the URL of the Redis for sessions, its password, and what Django is told of it.

    None of the ways to keep sessions is shared by two versions of Django, because none reads the sessions of another.
    """
    own = f"unix://{constants['_omero_web_redis_socket']}?db=0" if boolean(variables["omero_web_redis"]) else ""
    url = own or variables["omero_web_redis_url"]
    # Between the scheme and the host: [user]:password@. A plus stands for itself there.
    login = re.search(r"(?<=://)[^/@]*(?=@)", url)
    password = unquote(re.sub(r"^[^:]*:?", "", login[0])) if login else ""
    location = re.sub(r"(?<=://)([^/@:]*)(:[^/@]*)?@", r"\1@", url).replace("://@", "://")
    cache = {
        "BACKEND": "django_redis.cache.RedisCache",
        # OMERO.web and Django leave passwords out of what they log, by their names.
        "LOCATION": location,
        "KEY_PREFIX": f"{constants['_omero_web_name']}:django-{django}",
        "OPTIONS": {"SOCKET_TIMEOUT": 5, **({"PASSWORD": password} if password else {})},
    }
    return {
        "url": url,
        "password": password,
        "settings": {"omero.web.session_engine": "django.contrib.sessions.backends.cache"} if url else {},
        "secrets": {"omero.web.caches": {"default": cache}} if url else {},
    }


def in_url(address):
    """Return an address as URLs have it."""
    return f"[{address}]" if ":" in address else address


def upstreams_of(hosts, name):
    """Return the sets of hosts behind a balancer, as nginx has them: hosts of the same names are equal to users.

    hosts: of each its `name`, `address` and `port`, and `server_names`, under which users know it
    """
    sets = {}
    for host in hosts:
        server = {"name": host["name"], "address": f"{in_url(host['address'])}:{host['port']}"}
        sets.setdefault(tuple(host["server_names"]), []).append(server)
    return [
        {"name": f"{name}_{number}" if number else name, "server_names": list(names), "servers": servers}
        for number, (names, servers) in enumerate(sets.items())
    ]


def as_one_of_many(variables, cluster):
    """Return the variables of a host as if the site had said itself what follows from the hosts around it.

    cluster: `balancers`, their addresses; `has_tls`, whether users reach them by TLS; `redis`, the address of the
    Redis that the hosts share, or nothing
    """
    redis, proxies = cluster["redis"], variables["omero_web_trusted_proxies"]
    password = quote(variables["omero_web_redis_password"], safe="")
    url = variables["omero_web_redis_url"] or (f"redis://:{password}@{in_url(redis)}:{REDIS_PORT}/0" if redis else "")
    cookies = {"omero.web.session_cookie_secure": True, "omero.web.csrf_cookie_secure": True}
    return {
        **variables,
        "omero_web_balanced": boolean(variables["omero_web_balanced"]) or bool(cluster["balancers"]),
        "omero_web_trusted_proxies": [*proxies, *(one for one in cluster["balancers"] if one not in proxies)],
        "omero_web_redis_url": url,
        "omero_web_config": {**(cookies if cluster["has_tls"] else {}), **variables["omero_web_config"]},
    }


def wsgi_args(variables):
    """Return the arguments of gunicorn: the proxies that the site has in place of nginx are to be believed, too."""
    arguments = [variables["omero_web_wsgi_args"]]
    if variables["omero_web_trusted_proxies"] and not boolean(variables["omero_web_nginx"]):
        proxies = ["127.0.0.1", "::1", *variables["omero_web_trusted_proxies"]]
        arguments = [f"--forwarded-allow-ips={','.join(proxies)}", *arguments]
    return " ".join(filter(None, arguments))


def convenience_settings(variables, has_tls, redis, cores):
    """Return the properties that the role's own variables stand for."""
    workers = int(variables["omero_web_workers"]) or 2 * cores + 1
    arguments = wsgi_args(variables)
    servers = server_list(variables["omero_web_servers"])
    # A worker with threads would take in requests that wait for one of its own, while other workers have one to spare.
    has_threads = variables["omero_web_worker_class"] == "sync" and int(variables["omero_web_threads"]) > 1
    clients = variables["omero_web_threads" if has_threads else "omero_web_worker_connections"]
    same_site = [f"omero.web.{cookie}_cookie_samesite" for cookie in ("session", "csrf")]
    return {
        "omero.web.wsgi_worker_class": variables["omero_web_worker_class"],
        # As text: the digests of configurations have it so.
        "omero.web.wsgi_workers": str(workers),
        "omero.web.wsgi_threads": variables["omero_web_threads"],
        "omero.web.wsgi_worker_connections": clients,
        "omero.web.wsgi_timeout": variables["omero_web_timeout"],
        "omero.web.application_server.max_requests": variables["omero_web_max_requests"],
        **({"omero.web.wsgi_args": arguments} if arguments else {}),
        **({"omero.web.prefix": variables["omero_web_prefix"]} if variables["omero_web_prefix"] else {}),
        **({"omero.web.server_list": servers} if servers else {}),
        **({"omero.web.session_cookie_secure": True, "omero.web.csrf_cookie_secure": True} if has_tls else {}),
        **(dict.fromkeys(same_site, "None") if variables["omero_web_embedded_in"] else {}),
        **redis["settings"],
    }


def branding_of(variables, static_url):
    """Return how the site is called, what users are told, where its logo is, and the properties for that.

    What is on the controller was found by whoever checked the variables: `files` by their paths in a release.
    """
    given = {"name": "OMERO.web", "text": "Your data is safe.", "files": {}, "digest": ""}
    given.update(variables["omero_web_branding"])
    logo = next((path for path in given["files"] if path.startswith(LOGO)), "")
    url = static_url + logo.partition("/")[2] if logo else ""
    settings = {"omero.web.login_logo": url, "omero.web.top_logo": url} if logo else {}
    return {**given, "logo": url, "settings": settings}


def address_of(settings):
    host = str(settings.get("omero.web.application_server.host", "127.0.0.1"))
    return f"{in_url(host)}:{settings.get('omero.web.application_server.port', 4080)}"


def tls_of(variables, constants):
    """Return where nginx has its certificate from.

    One that is given as text belongs to the generation, in one file with its key, so that they always match.
    """
    certificate, key = variables["omero_web_tls_certificate"], variables["omero_web_tls_key"]
    is_used = boolean(variables["omero_web_nginx"]) and bool(certificate)
    is_on_trial = is_used and certificate == "self-signed"
    self_signed = {"path": f"{variables['omero_web_basedir']}/self-signed.pem", "mode": "0600"}
    given = {"omero_web_tls_certificate": certificate, "omero_web_tls_key": key}
    installed = constants["_omero_web_tls_installed"]
    return {
        "is_used": is_used,
        "is_on_trial": is_on_trial,
        "self_signed": self_signed,
        "text": "".join(re.sub(r"\s*$", "\n", text) for text in (certificate, key) if text.startswith("-----BEGIN")),
        **{
            name: self_signed["path"] if is_on_trial else value if value.startswith("/") else installed
            for name, value in (("certificate", certificate), ("key", key))
        },
        # Files of the site's own.
        "given": {name: path for name, path in given.items() if is_used and path.startswith("/")},
        # nginx reads a certificate that certbot has renewed once it is told to.
        "has_certbot": is_used and certificate.startswith("/etc/letsencrypt/"),
    }


def directories_of(variables, constants, tls):
    """Return the directories that the role keeps, whatever runs.

    In this order: the service, which may have owned the first ones, can then replace none of those below.
    """
    basedir = variables["omero_web_basedir"]
    below = ("", "/generations", "/acme", "/pages", "/releases", "/wheels", "/var", "/var/sessions")
    service = {"owner": variables["omero_web_user"], "group": variables["omero_web_group"]}
    keeps_images = boolean(variables["omero_web_nginx"]) and boolean(variables["omero_web_image_cache"])
    redis = {"path": constants["_omero_web_redis_dir"], "owner": "redis", "group": "redis", "mode": "0700"}
    return [
        *({"path": basedir + path, "mode": "0755"} for path in below),
        # Whose they are, and what their modes are, is for the operating system and the site to say.
        *({"path": path} for path in ("/etc/bash_completion.d", "/usr/local/share/man/man8")),
        {"path": f"{basedir}/var/log", **service, "mode": "0750"},
        *([redis] if boolean(variables["omero_web_redis"]) else []),
        *(constants["_omero_web_certbot"]["directories"] if tls["has_certbot"] else []),
        *([constants["_omero_web_image_cache_directory"]] if keeps_images else []),
    ]


def files_of(variables, constants, tls):
    """Return the files that the role keeps, whatever runs, with their templates."""
    # Once there, that of Redis stays: a generation to go back to may want it.
    redis = constants["_omero_web_redis_files"] if boolean(variables["omero_web_redis"]) else []
    certbot = constants["_omero_web_certbot"]["files"] if tls["has_certbot"] else []
    return [*constants["_omero_web_own_files"], *redis, *certbot]


def site_of(variables, constants, cores=0, django=""):
    """Return all that follows from the variables of a site, secrets included.

    The cores of the host and the Django of its release make a difference to the configuration. A look is taken before
    either is known, so it compares what follows without them (`digest`); what depends on them is among the parts of a
    generation.
    """
    basedir, apps = variables["omero_web_basedir"], variables["omero_web_apps"]
    has_nginx = boolean(variables["omero_web_nginx"])
    tls = tls_of(variables, constants)
    redis = redis_of(variables, constants, django)
    convenience = convenience_settings(variables, tls["is_used"], redis, cores)
    own_settings = {**app_settings(apps), **variables["omero_web_config"]}
    static_url = text_of(own_settings.get("omero.web.static_url", "/static/"))
    branding = branding_of(variables, static_url)
    settings = {**convenience, **branding["settings"], **own_settings}
    secrets = {**redis["secrets"], **variables["omero_web_secrets"]}
    append = append_of(apps, variables["omero_web_config_append"])
    purge = boolean(variables["omero_web_config_purge"])
    address = address_of(settings)
    ports = {"omero_web_http_port": variables["omero_web_http_port"]} if has_nginx else {}
    ports.update({"omero_web_https_port": variables["omero_web_https_port"]} if tls["is_used"] else {})
    has_hsts = tls["is_used"] and not tls["is_on_trial"] and int(variables["omero_web_hsts_seconds"])
    hsts = {"Strict-Transport-Security": f"max-age={variables['omero_web_hsts_seconds']}"} if has_hsts else {}
    logs = [constants["_omero_web_error_log"]]
    logs += [constants["_omero_web_access_log"]] if variables["omero_web_access_log"] != "none" else []
    static = {
        "settings": {key: value for key, value in settings.items() if key in STATIC},
        "append": {key: value for key, value in append.items() if key in STATIC},
    }
    own_apps = [*append.get("omero.web.apps", []), *listed(settings.get("omero.web.apps"))]
    return {
        "variables": variables,
        "settings": settings,
        "secrets": secrets,
        "append": append,
        "purge": purge,
        "digest": digest_of([settings, secrets, append, purge]),
        "hidden": {
            **variables["omero_web_secrets"],
            "omero_web_redis_url": redis["password"],
            "omero_web_redis_password": variables["omero_web_redis_password"],
            "omero_web_trial_password": variables["omero_web_trial_password"],
            "omero_web_benchmark_password": variables["omero_web_benchmark_password"],
        },
        "redis_url": redis["url"],
        "has_prometheus": "django_prometheus" in own_apps,
        "has_nginx": has_nginx,
        "ports": ports,
        "trusted_proxies": variables["omero_web_trusted_proxies"],
        "address": address,
        "prefix": text_of(settings.get("omero.web.prefix")),
        "static_url": static_url,
        "branding": branding,
        "base_url": base_url(ports, address),
        "headers": {**variables["omero_web_headers"], **hsts},
        "tls": tls,
        "directories": directories_of(variables, constants, tls),
        "files": files_of(variables, constants, tls),
        "secret_key": {
            "path": f"{basedir}/var/django_secret_key",
            "group": variables["omero_web_group"],
            "mode": "0640",
        },
        "logs": logs if has_nginx else [],
        "packages": [*variables["omero_web_packages"], *(app["package"] for app in apps)],
        **pip_of(variables["omero_web_pip_extra_args"], boolean(variables["omero_web_offline"])),
        "static": static,
        # Apps may not even be loaded without settings of theirs, though what they are makes no difference to static
        # files.
        "static_settings": {**static["settings"], **app_settings(apps), **variables["omero_web_secrets"]},
    }


def pip_of(arguments, is_offline):
    """Return how pip is called for what it reads, and where it has packages from: offline, from nowhere."""
    others = "--no-index" if is_offline else PIP_SOURCE.sub("", arguments)
    commands = {"install": others, **dict.fromkeys(("download", "wheel"), OF_INSTALL.sub("", others))}
    return {
        "pip_sources": [] if is_offline else PIP_SOURCE.findall(arguments),
        **{
            f"pip_{command}": f"-m pip {command} --disable-pip-version-check --requirement /dev/stdin {own}"
            for command, own in commands.items()
        },
    }


def digest_of(value):
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def base_url(ports, address):
    """Return where the host asks itself."""
    if "omero_web_https_port" in ports:
        return f"https://127.0.0.1:{ports['omero_web_https_port']}"
    return f"http://127.0.0.1:{ports['omero_web_http_port']}" if ports else f"http://{address}"


def look_arguments(site, constants):
    """Return what omero_web_info is asked."""
    variables = site["variables"]
    name, sites = constants["_omero_web_name"], constants["_omero_web_nginx_default_sites"]
    archives = constants["_omero_web_archives"]
    own = [*site["directories"], *site["files"], site["secret_key"], site["tls"]["self_signed"]]
    units = ("boot.service", "clearsessions.timer", "redis.service")
    python, former = variables["omero_web_python"], variables["omero_web_former"]
    return {
        "name": name,
        "basedir": variables["omero_web_basedir"],
        "pythons": [python] if python else constants["_omero_web_usual_pythons"],
        "paths": [
            *(one["path"] for one in own),
            constants["_omero_web_access_log"],
            constants["_omero_web_error_log"],
            sites["Debian"]["path"],
            *constants["_omero_web_units_of_others"],
            *constants["_omero_web_nginx_sites_of_others"],
            *([former["site"]] if former else []),
        ],
        "files": list(dict.fromkeys(site["tls"]["given"].values())),
        "directories": variables["omero_web_writable_paths"],
        **{name: variables[f"omero_web_{name}"] for name in ("user", "group", "uid", "gid")},
        "patterns": {
            **dict.fromkeys(archives["files"], archives["pattern"]),
            sites["RedHat"]["path"]: sites["RedHat"]["part"],
            constants["_omero_web_nginx_conf"]: constants["_omero_web_nginx_conf_of_others"],
        },
        "units": [
            "nginx.service",
            "firewalld.service",
            *(f"{name}-{unit}" for unit in units),
            *([former["unit"]] if former.get("unit") else []),
        ],
        "booleans": constants["_omero_web_selinux_booleans"],
        "firewall": boolean(variables["omero_web_open_firewall"]),
        "configuration": site["digest"],
        "timeout": variables["omero_web_timeout"],
    }


# --- what follows from the host, too ----------------------------------------------------------------------------------


def problem_of_platform(constants, facts, host):
    """Return why the role does not run on a host, in one sentence; empty if it does."""
    name, version, major = (facts[f"distribution{ending}"] for ending in ("", "_version", "_major_version"))
    oldest, newest = constants["_omero_web_supported"].get(name, (None, None))
    # What Debian releases next has names in place of a version until then.
    is_next = name == "Debian" and version.endswith("/sid")
    is_supported = is_next or (
        oldest is not None
        and version_key(version if "." in oldest else major) >= version_key(oldest)
        and (not newest or version_key(major) <= version_key(newest))
    )
    if is_supported and facts["service_mgr"] == "systemd":
        return ""
    return (
        f"{host} is {name} {version} with {facts['service_mgr']} as its service manager; the role needs Debian 11 or "
        "newer, Ubuntu 22.04 or newer, CentOS 7, or Rocky Linux, AlmaLinux, CentOS Stream or RHEL 8 or 9, run by "
        "systemd."
    )


def system_of(constants, facts):
    """Return what the operating system has: what its family has, but for what is another in its version."""
    system = constants["_omero_web_systems"][facts["os_family"]]
    system = merge_hash(system, system["versions"].get(facts["distribution_major_version"], {}))
    return {
        **{name: value for name, value in system.items() if name != "versions"},
        "name": f"{facts['distribution']} {facts['distribution_version']}",
        "package_interpreter": system["package_interpreter"] or facts.get("python", {}).get("executable", "auto"),
    }


def order_of(site, constants, host):
    """Return what a release is chosen by."""
    variables, system = site["variables"], host["system"]
    return {
        "name": constants["_omero_web_name"],
        "basedir": variables["omero_web_basedir"],
        "host": host["hostname"],
        "system": system["name"],
        "release": variables["omero_web_release"],
        "method": variables["omero_web_install_method"],
        "python": variables["omero_web_python"],
        "os_python": system["python"],
        "os_pythons": system["pythons"],
        "releases": constants["_omero_web_releases"],
    }


def pins_left(constraints, packages):
    """Return a list of pip's constraints without the packages for which a site names versions itself: its own win."""
    named = {pip_name(found[1]) for found in map(VERSIONED.match, packages) if found}
    lines = [line for line in constraints.splitlines() if line and not line.startswith("#")]
    return [line for line in lines if pip_name(re.split(r"[^\w.-]", line)[0]) not in named]


def pip_name(name):
    """Return the name of a package as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def shipping_of(site, constants, host, release, constraints):
    """Return how a release is shipped: what of the method's table its variables, its version and its Python pick."""
    variables, system = site["variables"], host["system"]
    method = constants["_omero_web_methods"][release["method"]]
    interpreter = system["pythons"].get(release["interpreter"], {})
    gevent = newest_for(constants["_omero_web_gevents"], release["python"]).get("version", "0")
    is_gevent = variables["omero_web_worker_class"] == "gevent"
    # The site's own pin wins.
    has_gevent = any(re.match(r"gevent(?![\w-])", package) for package in variables["omero_web_packages"])
    extras = [
        *(method["gevent"] if is_gevent and not has_gevent else []),
        *(method["threads"] if int(variables["omero_web_threads"]) > 1 else []),
        *(method["redis"] if site["redis_url"] else []),
    ]
    requirements = [*extras, *method["requirements"], *release["series"].get("requirements", [])]
    return {
        **{name: method[name] for name in ("homes", "links", "has_breach", "calls")},
        "pip": method["pip"] or interpreter.get("pip", []),
        "extras": [package.format(gevent=gevent) for package in extras],
        "requirements": [package.format(gevent=gevent, version=release["version"]) for package in requirements],
        "constraints": pins_left(constraints, site["packages"]),
        # They take minutes to compile, and compilers that a web server need not have.
        "wheels_only": "--only-binary=gevent,greenlet" if is_gevent else "",
        "packages": interpreter.get("packages", []),
        "build_packages": interpreter.get("build_packages", []),
        "ice_requirements": newest_for(constants["_omero_web_ice_build_requirements"], release["python"])["packages"],
        "brotli": system["brotli_packages"] if site["has_nginx"] and boolean(variables["omero_web_brotli"]) else [],
    }


def definition_of(site, shipping, release, constraints):
    """Return all that defines a release: a change of anything makes another one."""
    variables = site["variables"]
    return {
        # Counts changes of how a release is built.
        "recipe": 1,
        "release": release["version"],
        "python": f"{release['interpreter']} {release['python']}",
        "packages": [masked(package) for package in [*site["packages"], *shipping["extras"]]],
        "ice_wheel": f"{masked(variables['omero_web_ice_wheel'])} {variables['omero_web_ice_wheel_checksum']}",
        "static": site["static"],
        **({"checksum": variables["omero_web_archive_checksum"]} if release["method"] == "archive" else {}),
        **({"constraints": hashlib.sha256(constraints.encode()).hexdigest()} if constraints else {}),
        **({"brotli": True} if shipping["brotli"] else {}),
        **({"branding": site["branding"]["digest"]} if site["branding"]["files"] else {}),
    }


def build_properties(systemd):
    """Return what makes a build give way to all else: its weight among units, or its niceness where they have none."""
    weights = ["CPUWeight=1", "IOWeight=1"] if systemd >= 232 else ["CPUShares=2", "BlockIOWeight=10"]
    return ["Nice=19", *weights]


def site_name(server_names, allowed_hosts, node):
    """Return, of the names of a site, the one to ask it for, as its users do and as OMERO.web answers to it.

    A site whose names are all refused is asked for the first of them: that it fails is what it has to be told.
    """
    allowed_hosts = [host for host in listed(allowed_hosts) if isinstance(host, str)]
    names = [name for name in server_names if SERVER_NAME.fullmatch(name)]
    good = [name for name in names if is_allowed(name, allowed_hosts)]
    others = [host.lstrip(".") for host in allowed_hosts if SERVER_NAME.fullmatch(host.lstrip("."))]
    return [*good, *names, *others, *filter(SERVER_NAME.fullmatch, [node]), "localhost"][0]


def is_allowed(name, allowed_hosts):
    """As Django has it: a name, one with a dot before it for all below it, too, or a star for all."""
    name = name.lower()
    return any(
        host == "*" or name == host.lower() or (host.startswith(".") and f".{name}".endswith(host.lower()))
        for host in allowed_hosts
    )


def moving_of(look, prefix):
    """Return the prefixes that the site had before, whose addresses lead on, and the one that gives way now, if any."""
    live = next((one["manifest"] for one in look["generations"] if one["number"] == look["current"]), {})
    former = live.get("former_prefixes", []) + ([live["prefix"]] if "prefix" in live else [])
    return {
        "former_prefixes": [one for one in dict.fromkeys(former) if one != prefix],
        "leaves": [live["prefix"]] if live.get("prefix", prefix) != prefix else [],
    }


def host_of(site, constants, look, facts, hostname):
    """Return what plans, templates and tasks have to know of a host, whatever its release."""
    allowed = site["settings"].get("omero.web.allowed_hosts", ["*"])
    system = system_of(constants, facts)
    return {
        "hostname": hostname,
        "system": system,
        "logs": [{**system["nginx_logs"], "mode": "0640", "path": path} for path in site["logs"]],
        "site_name": site_name(site["variables"]["omero_web_server_names"], allowed, facts["nodename"]),
        "build_properties": build_properties(look["systemd"]),
        "default_site": constants["_omero_web_nginx_default_sites"][facts["os_family"]],
        **moving_of(look, site["prefix"]),
    }


def nginx_files(site, constants):
    """Return where nginx's files of a generation are installed."""
    nginx = {"nginx.conf": constants["_omero_web_nginx_conf"]} if site["has_nginx"] else {}
    return {**nginx, **({"tls.pem": constants["_omero_web_tls_installed"]} if site["tls"]["text"] else {})}


def generation_templates(site):
    """Return the templates of what a generation is made of, each with variables of its own."""
    template = site["variables"]["omero_web_nginx_template"]
    nginx = {"nginx.conf": (template, {"moving": False})} if site["has_nginx"] else {}
    return {
        "omero-web.service": ("omero-web.service.j2", {"probe": False}),
        "omero-web.socket": ("omero-web.socket.j2", {}),
        "probe.service": ("omero-web.service.j2", {"probe": True}),
        **nginx,
    }


def parts_of(site, contents, release, look):
    """Return what a generation is made of, apart from its settings; its number, not known yet, is @generation@.

    Where one of them is not what it would be today, the next generation is due.
    """
    cores = {} if int(site["variables"]["omero_web_workers"]) else {"cores": str(look["cores"])}
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in contents.items()}
    return {**digests, "release": release["name"], **cores}


def target_of_site(site, constants, host, socket):
    """Return how a generation is run, whichever it is: its manifest has this."""
    name = constants["_omero_web_name"]
    redis = [f"{name}-redis.service"] if boolean(site["variables"]["omero_web_redis"]) else []
    return {
        "address": site["address"],
        "socket": socket,
        "url": site["base_url"] + site["prefix"],
        "host": host["site_name"],
        "prefix": site["prefix"],
        "static_url": site["static_url"],
        "units": [*redis, f"{name}-clearsessions.timer"],
    }


def wanted_by_all(site, constants, host):
    """Return what a plan and the plan of a rollback have to know."""
    variables = site["variables"]
    basedir = variables["omero_web_basedir"]
    return {
        "name": constants["_omero_web_name"],
        "basedir": basedir,
        "service": {"basedir": basedir, "user": variables["omero_web_user"], "group": variables["omero_web_group"]},
        "host": host["hostname"],
        "start": boolean(variables["omero_web_start"]),
        "tried_as": tried_as(variables),
        "minimum_free_mb": int(variables["omero_web_minimum_free_mb"]),
        "nginx_files": nginx_files(site, constants),
        "base_url": site["base_url"],
    }


def wanted_of_rollback(site, constants, host):
    variables = site["variables"]
    return {
        **wanted_by_all(site, constants, host),
        "generation": int(variables["omero_web_generation"]),
        "to_failed": boolean(variables["omero_web_rollback_to_failed"]),
        "to_former": boolean(variables["omero_web_rollback_to_former"]),
        "target": {**target_of_site(site, constants, host, socket=""), "address": ""},
    }


def former_of(variables):
    """Return the OMERO.web that the role is to take over from, as omero_web_change has it; empty without one."""
    former = variables["omero_web_former"]
    nothing = {"unit": "", "sessions": "", "user": "", "cookie": "sessionid", "django": ""}
    seconds = int(variables["omero_web_graceful_timeout"])
    return {**nothing, **former, "seconds": seconds} if former else {}


def wanted_of(site, constants, known):
    """Return what a host is to have and to run, but for `contents` and `parts`, which templates make."""
    variables = site["variables"]
    has_nginx, name = site["has_nginx"], constants["_omero_web_name"]
    has_redis = boolean(variables["omero_web_redis"])
    system, shipping, release = known["system"], known["shipping"], known["release"]
    is_archived = boolean(variables["omero_web_archived_repositories"]) and system["is_archived"]
    others = constants["_omero_web_nginx_sites_of_others"] if has_nginx else []
    return {
        **wanted_by_all(site, constants, known),
        "keep": int(variables["omero_web_keep_generations"]),
        "is_balanced": boolean(variables["omero_web_balanced"]),
        "hold": variables["omero_web_hold"],
        "despite_hold": boolean(variables["omero_web_despite_hold"]),
        # The host
        "packages": [
            *system["packages"],
            *shipping["packages"],
            *([system["repository_package"]] if system["repository_package"] and (has_nginx or has_redis) else []),
            *(system["nginx_packages"] if has_nginx else []),
            *shipping["brotli"],
            *(["openssl"] if site["tls"]["is_on_trial"] else []),
            *([system["redis"]["package"]] if has_redis else []),
            *variables["omero_web_os_packages"],
        ],
        "gone_repositories": constants["_omero_web_archives"]["files"] if is_archived else [],
        "directories": site["directories"],
        "files": site["files"],
        "logs": known["logs"],
        "secret_keys": [site["secret_key"]],
        "certificates": [site["tls"]["self_signed"]] if site["tls"]["is_on_trial"] else [],
        "tls_files": site["tls"]["given"],
        "writable_paths": variables["omero_web_writable_paths"],
        "ids": {name: int(variables[f"omero_web_{name}"]) for name in ("uid", "gid")},
        "former": former_of(variables),
        "of_others": [*constants["_omero_web_units_of_others"], *others],
        "booleans": system["selinux"]["booleans"],
        "has_nginx": has_nginx,
        "ports": [int(port) for port in site["ports"].values()],
        "firewall_zones": variables["omero_web_firewall_zones"],
        "server_names": variables["omero_web_server_names"],
        "default_site": known["default_site"] if has_nginx else {},
        # The generation
        "version": release["version"],
        # What outlives a generation is no part of it, but linked.
        "links": {
            "release": f"../../releases/{release['name']}",
            "var/log": "../../../var/log",
            "var/django_secret_key": "../../../var/django_secret_key",
            "var/tmp": f"../../../var/sessions/django-{release['django']}",
            "var/django.pid": f"/run/{name}-@generation@/django.pid",
            **shipping["links"],
        },
        "sessions": f"django-{release['django']}",
        "purge": site["purge"],
        "former_prefixes": known["former_prefixes"],
        "target": target_of_site(site, constants, known, known["socket"]),
        "pages": pages_of(site),
    }


def tried_as(variables):
    """Say as whom a generation is tried, empty if as nobody."""
    if not boolean(variables["omero_web_trial"]):
        return ""
    return f"the user {variables['omero_web_trial_user']}" if variables["omero_web_trial_user"] else "the public user"


def pages_of(site):
    """Return which pages a user is to find, as module_utils/omero_web_trial.py has it.

    Part of the manifest, for a generation that is gone back to has the apps of its time.
    """
    variables = site["variables"]
    return {
        "apps": [app["page"] for app in variables["omero_web_apps"] if app.get("page")],
        "site": variables["omero_web_trial_pages"],
        "public_filter": text_of(site["settings"].get("omero.web.public.url_filter")),
    }


def user_of_trial(site):
    """Return as whom a generation is tried, password included, or None."""
    variables = site["variables"]
    if not boolean(variables["omero_web_trial"]):
        return None
    return {
        "user": variables["omero_web_trial_user"],
        "password": variables["omero_web_trial_password"],
        "server": int(variables["omero_web_trial_server"]),
        "timeout": int(variables["omero_web_trial_timeout"]),
        # A little longer than gunicorn and nginx wait for OMERO.web.
        "request_timeout": int(site["settings"]["omero.web.wsgi_timeout"]) + 5,
        "required": boolean(variables["omero_web_trial_required"]),
    }


def configuration_of(site, release):
    """Return what the configuration of a generation is written from, secrets included."""
    # What only the role can know, for it depends on the release.
    own = {"omero.web.static_root": f"{release['directory']}/static"}
    append = site["append"]
    if any(path.startswith("templates/") for path in site["branding"]["files"]):
        others = append.get("omero.web.template_dirs", [])
        append = {**append, "omero.web.template_dirs": [*others, f"{release['directory']}/branding/templates"]}
    settings = {**site["settings"], **own}
    unset = release["series"].get("unset", {})
    settings = {key: value for key, value in settings.items() if key not in unset or str(value) != str(unset[key])}
    return {"settings": settings, "append": append, **{key: site[key] for key in ("secrets", "purge")}}


def change_arguments(site, constants, host):
    """Return what omero_web_change is told beside the plan."""
    variables = site["variables"]
    return {
        "name": constants["_omero_web_name"],
        **{key: variables[f"omero_web_{key}"] for key in ("basedir", "user", "group")},
        **{key: int(variables[f"omero_web_{key}"]) for key in ("lock_timeout", "start_timeout")},
        "start": boolean(variables["omero_web_start"]),
        "nginx": {"default_site": host["default_site"], "ports": site["ports"]} if site["has_nginx"] else None,
    }


# --- what Ansible sees ------------------------------------------------------------------------------------------------


def zip_application(files):
    """Return a program for any Python of a host, of files by their names: a line for sh and an archive, which is one.

    The same files make the same bytes, whichever controller it is; nothing is compressed, so that people can read it.
    """
    content = BytesIO()
    content.write(COMMAND_HEAD)
    directories = {str(parent) for name in files for parent in Path(name).parents[:-1]}
    empty = {f"{directory}/__init__.py": b"" for directory in directories}
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in sorted({**empty, **files}.items()):
            # A time is part of an entry; this is the first one that can be.
            archive.writestr(zipfile.ZipInfo(name), text)
    return content.getvalue()


def settings_of_command(site, constants, plan):
    """Return what the command on a host has to know of its variables, none of it secret."""
    nobody = {"variables": {**site["variables"], "omero_web_trial": False}}
    rollback = wanted_of_rollback({**site, **nobody}, constants, plan)
    return {
        "name": constants["_omero_web_name"],
        "basedir": site["variables"]["omero_web_basedir"],
        "timeout": int(site["variables"]["omero_web_timeout"]),
        "title": constants["_omero_web_title"],
        "branding": {key: site["branding"][key] for key in ("name", "text", "logo")},
        "prefix": site["prefix"],
        "health_path": site["variables"]["omero_web_health_path"],
        "nginx_variable": constants["_omero_web_upstream"],
        "nginx_logs": {path.split(".")[-2]: path for path in site["logs"]},
        "rollback": {**rollback, "to_failed": False, "to_former": False},
        "change": change_arguments(site, constants, plan),
    }


def shared_path(name):
    """Return where a file of module_utils is."""
    return Path(module_utils_loader.find_plugin(name))


def shared_code(name):
    """Return what is in a file of module_utils, by its names."""
    return SimpleNamespace(**runpy.run_path(str(shared_path(name))))


class Evaluated(dict):
    """Constants by their names, each evaluated when it is asked for."""

    def __init__(self, evaluate):
        super().__init__()
        self.evaluate = evaluate

    def __missing__(self, name):
        self[name] = self.evaluate(name)
        return self[name]


class Shared(dict):
    """Variables that no template changes: Ansible 2.16 would copy them all in depth for each text that it renders."""

    def __deepcopy__(self, memo):
        return Shared(self)


def plain(value):
    """Return an evaluated value as plain data; a value from a vault is no text until then."""
    if isinstance(value, Mapping):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


class Names(Context):
    """The names that a template of the role knows: those that it is given, and all variables of the host."""

    def resolve_or_missing(self, key):
        found = super().resolve_or_missing(key)
        return self.parent["__omero_web_variable"](key) if found is missing else found


def own_templates():
    """Return the role's own templates, read as Ansible reads them.

    Ansible would compile them for each host. These are compiled once, in the process that it forks for each.
    """
    templates = Environment(loader=FileSystemLoader(ROLE / "templates"), trim_blocks=True, undefined=StrictUndefined)
    templates.context_class = Names
    # Jinja's own come first: those of newer Ansibles know no undefined value but Ansible's.
    templates.filters = {**FilterModule().filters(), **templates.filters}
    templates.tests = {**TestModule().tests(), **templates.tests}
    return templates


TEMPLATES = own_templates()


class RoleAction(ActionBase):
    """An action that knows what the site wants."""

    TRANSFERS_FILES = False

    def run(self, tmp=None, task_vars=None):
        self.variables = task_vars
        self.hostname = task_vars["inventory_hostname"]
        # What follows from the variables, once they are checked.
        self.checked = task_vars.get("__omero_web_site")
        # One is made of others, each of which would otherwise be evaluated again.
        self.constants = Evaluated(lambda name: self.evaluated(name, **self.constants))
        return super().run(tmp, task_vars)

    def evaluated(self, name, **known):
        """Return a variable of the role, where these others are so."""
        # Newer ones insist on a plain dictionary.
        kind = Shared if version_key(__version__) < [2, 19] else dict
        self._templar.available_variables = kind(self.variables, **known)
        return self._templar.template(self.variables[name])

    def of_host(self, host, name):
        """Return a variable of another host of the inventory, or the role's default."""
        return self.variables["hostvars"][host].get(name, self._task._role.get_default_vars()[name])

    def in_group(self, group):
        return self.variables["groups"].get(group, [])

    def address_of_host(self, host):
        """Return the address under which other hosts reach one."""
        known = self.variables["hostvars"][host]
        return self.of_host(host, "omero_web_address") or known.get("ansible_host", host)

    def run_action(self, name, arguments, task_vars):
        """Return what comes of another action, for the host of this one."""
        task = self._task.copy()
        task.args = arguments
        action = self._shared_loader_obj.action_loader.get(
            name,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        return action.run(task_vars=task_vars)

    def by(self):
        """Return who changes the host, as its history, its lock and notices tell it."""
        return f"ansible-playbook, by {getpass.getuser()} on {socket.gethostname()}"

    def notify(self, planned, seconds, reason):
        """Tell those who want to know how a change ended; return what came of that, as warnings."""
        variables, who = self.checked["variables"], (self.hostname, self.constants["_omero_web_title"])
        notice = notices.notice_of(*who, planned, self.by(), seconds, reason)
        whom = variables["omero_web_notify_url"], variables["omero_web_notify_command"]
        return list(notices.problems_of_telling(notice, *whom))

    def file(self, name):
        """Return the content of a file of the role."""
        return (ROLE / "files" / name).read_text()

    def variable(self, name):
        """Return a variable for a template: as it was checked, or evaluated."""
        if name in self.checked["variables"]:
            return self.checked["variables"][name]
        return self.constants[name] if name in self.variables else missing

    def rendered(self, template, own, plan):
        """Return a text from a template, which has variables of its own, and what is known of the plan."""
        if template not in TEMPLATES.list_templates():
            # The site's may be anywhere, and has all that Ansible has.
            known = {"__omero_web_template": template, "__omero_web_own": own, "__omero_web_plan": plan}
            return self.evaluated("_omero_web_rendered", **known)
        known = {
            **generate_ansible_template_vars(str(ROLE / "templates" / template)),
            "__omero_web_variable": self.variable,
            "__omero_web_site": self.checked,
            "__omero_web_host": self.variables["__omero_web_host"],
            "__omero_web_plan": plan,
            **own,
        }
        # As Ansible does: Jinja leaves out the end of the last line.
        return TEMPLATES.get_template(template).render(known).removesuffix("\n") + "\n"

    def content(self, file, plan):
        """Return what a file of the role is to have in it, as bytes."""
        is_command = file["path"] == self.constants["_omero_web_admin_command"]
        return self.command(plan) if is_command else self.rendered(file["src"], {}, plan).encode()

    def command(self, plan):
        """Return the command of a host, with all that it runs by."""
        own = ROLE / "files/command"
        code = {str(path.relative_to(own)): path.read_bytes() for path in own.rglob("*.py")}
        shared = shared_path("omero_secrets").parent
        code |= {
            f"ansible/module_utils/{path.name}": path.read_bytes()
            for path in (shared / "omero_secrets.py", *shared.glob("omero_web_*.py"))
        }
        settings = settings_of_command(self.checked, self.constants, plan)
        return zip_application({**code, "settings.json": json.dumps(settings, indent=4, sort_keys=True).encode()})

    def generation_contents(self, plan):
        """Return what a generation is made of, by the names of its files."""
        templates, text = generation_templates(self.checked), self.checked["tls"]["text"]
        return {
            "gunicorn.conf.py": self.file("gunicorn.conf.py"),
            **{name: self.rendered(template, own, plan) for name, (template, own) in templates.items()},
            **({"tls.pem": text} if text else {}),
        }
