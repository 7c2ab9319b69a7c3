"""Action: check the role's variables against its argument spec, and say everything that is wrong in plain sentences.

Where nothing is, what follows from them is returned.

Ansible checks the same spec when a role starts, but prints the whole of it with any error, shows values that may be
secret, and knows neither a misspelt variable nor a port or a path. Runs on the controller; touches no host.
"""

import difflib
import ipaddress
import json
import re
import runpy
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

from ansible.errors import AnsibleError
from ansible.module_utils.common.collections import is_string
from ansible.module_utils.common.yaml import yaml_load
from ansible.module_utils.parsing.convert_bool import BOOLEANS, boolean
from ansible.plugins.loader import filter_loader, test_loader

wanted = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wanted.py"))))
wheels = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_wheels.py"))))
brands = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_branding.py"))))
PREFIX = "omero_web_"
# Ansible forks a process for each task of each host. What is done here, as its first process loads this, they all have.
SPECS = yaml_load((wanted.ROLE / "meta/argument_specs.yml").read_text())["argument_specs"].values()
SPEC = {name: option for one in SPECS for name, option in one["options"].items()}
# Each would load all filters and tests for the first one that it uses.
filter_loader.get("bool")
test_loader.get("version")
# The rule of the module omero_config, which comes into play when a release is built. Only modules can import it.
secrecy = wanted.shared_code("omero_secrets").secrecy
UNDEFINED = re.compile(r"'\w+' is undefined|has no attribute '\w+'")

# What the role takes for each type. It uses values as they are, so nothing counts that would have to be converted
# first, but for numbers and truth values, which come as text from the command line (-e name=value).
KINDS = {
    "bool": (lambda value: str(value).lower() in BOOLEANS, "true or false"),
    "dict": (lambda value: isinstance(value, Mapping), "a dictionary"),
    "float": (lambda value: re.fullmatch(r"-?\d+(\.\d+)?", str(value)), "a number"),
    "int": (lambda value: re.fullmatch(r"-?\d+", str(value)), "a whole number"),
    "list": (lambda value: isinstance(value, list), "a list"),
    "path": (is_string, "a path"),
    "raw": (lambda value: True, "anything"),
    "str": (is_string, "text; put it in quotes"),
}


def at_least(low):
    return lambda value: int(value) >= low, f"a whole number, {low} or more"


def between(low, high):
    return lambda value: low <= int(value) <= high, f"a whole number from {low} to {high}"


def is_address(value):
    try:
        return "%" not in str(value) and bool(ipaddress.ip_address(str(value)))
    except ValueError:
        return False


def is_interface(value):
    try:
        return bool(ipaddress.ip_interface(value))
    except ValueError:
        return False


def is_serial(value):
    """Tell whether Ansible takes it for the number of hosts that change at a time."""
    parts = value if isinstance(value, list) and value else [value]
    return all(re.fullmatch(r"[1-9]\d*|([1-9]\d?|100)%", str(part)) for part in parts)


def like(pattern, example):
    return lambda value: re.fullmatch(pattern, str(value)), example


# What the keys of a dictionary are, where these are the site's to choose.
PROPERTY = re.compile(r"[A-Za-z][\w-]*(\.[\w-]+)+"), "OMERO property; a property is dotted, as omero.web.debug"
KEYS = {
    "omero_web_headers": (re.compile(r"[A-Za-z][\w-]*"), "name of a header; such a name is X-Frame-Options"),
    # Neither what the role sets itself, nor what systemd and gunicorn tell each other by.
    "omero_web_environment": (
        re.compile(
            r"(?!(PATH|PYTHONPATH|TMPDIR|OMERODIR|OMERO_HOME|OMERO_TMPDIR|OMERO_WEB_GRACEFUL_TIMEOUT|PYTHONDONTWRITEBYTECODE"
            r"|PROMETHEUS_MULTIPROC_DIR|DJANGO_SETTINGS_MODULE|NOTIFY_SOCKET|LISTEN_\w+)$)[A-Za-z_]\w*"
        ),
        "name of a variable that is the site's; such a name is FACILITY_MODE",
    ),
}

# What the names of units, commands and formats of logs of the instance without a name go on with.
TAKEN = ("benchmark", "boot", "build", "change", "clearsessions", "json", "logs", "probe", "redis", "web")

# Where the service may be let write: neither where it would find nothing of it, nor where others do not expect it.
WRITABLE = re.compile(
    r"(?!/(bin|boot|dev|etc|home|lib\d*|proc|root|run|sbin|sys|tmp|usr)/)(?!/var(/\w+)?$)(?!.*/\.\.?(/|$))/[\w.+-]+(/[\w.+-]+)+"
)

# What nginx sees to where users ask for much.
LIMITS = (
    "omero_web_download_kb_per_second",
    "omero_web_downloads_per_user",
    "omero_web_downloads_per_address",
    "omero_web_stranger_requests_per_minute",
)

# What an argument spec cannot say.
CONSTRAINTS = {
    **dict.fromkeys(("omero_web_http_port", "omero_web_https_port", "omero_web_servers[].port"), between(1, 65535)),
    **dict.fromkeys(("omero_web_threads", "omero_web_worker_connections"), at_least(1)),
    "omero_web_workers": at_least(0),
    **dict.fromkeys(("omero_web_timeout", "omero_web_graceful_timeout", "omero_web_start_timeout"), at_least(1)),
    "omero_web_download_timeout": at_least(1),
    **dict.fromkeys(("omero_web_max_requests", "omero_web_minimum_free_mb", "omero_web_generation"), at_least(0)),
    **dict.fromkeys(("omero_web_logins_per_minute", "omero_web_hsts_seconds", "omero_web_max_upload_mb"), at_least(0)),
    **dict.fromkeys(LIMITS, at_least(0)),
    "omero_web_tls_certificate": like(
        r"self-signed|/\S+|-----BEGIN CERTIFICATE-----(?s:.)+|",
        "a path on the host, the text of a certificate (-----BEGIN CERTIFICATE-----), self-signed, or empty",
    ),
    "omero_web_tls_key": like(
        r"/\S+|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.)+|",
        "a path on the host, the text of a private key (-----BEGIN PRIVATE KEY-----), or empty",
    ),
    **dict.fromkeys(
        ("omero_web_drain_seconds", "omero_web_slow_start_seconds", "omero_web_canary_seconds"), at_least(0)
    ),
    "omero_web_canary_errors": (lambda value: 0 <= float(value) <= 100, "a percentage from 0 to 100"),
    "omero_web_address": like(r"[\w.:-]*", "an address, such as 192.0.2.10, or empty"),
    "omero_web_redis_password": like(r"[!-~]*", "letters, digits and punctuation, without spaces"),
    "omero_web_virtual_address": (
        lambda value: not value or ("/" in value and is_interface(value)),
        "an address with the length of its network, such as 192.0.2.9/24, or empty",
    ),
    "omero_web_virtual_interface": like(r"[\w.-]{0,15}", "the name of a network interface, such as eth0, or empty"),
    "omero_web_serial": (is_serial, 'a number, a percentage such as "25%", or a list of them'),
    "omero_web_embedded_in[]": like(
        r"https://(\*\.(?=[\w-]+\.))?[\w-]+(\.[\w-]+)*(:\d+)?",
        "an origin with TLS and no path, such as https://portal.example.org, or https://*.example.org for all below it",
    ),
    "omero_web_health_path": like(r"(/[\w.~-]+)+|", "a path such as /healthz, or empty"),
    "omero_web_private_paths[]": like(r"(/[\w.~-]+)+", "a path such as /metrics"),
    **dict.fromkeys(
        ("omero_web_trusted_proxies[]", "omero_web_private_clients[]"),
        like(r"[0-9a-fA-F.:]+(/\d+)?", "an address, such as 192.0.2.10, or a network, such as 192.0.2.0/24"),
    ),
    **dict.fromkeys(("omero_web_image_cache_seconds", "omero_web_image_cache_mb"), at_least(1)),
    **dict.fromkeys(("omero_web_trial_server", "omero_web_trial_timeout"), at_least(1)),
    **dict.fromkeys(
        ("omero_web_apps[].page", "omero_web_trial_pages[].path"),
        like(r"/([!-.0-~][!-~]*)?", "a path below omero_web_prefix, such as /webclient/"),
    ),
    "omero_web_trial_pages[].status": between(200, 599),
    "omero_web_trial_pages[].type": like(r"[a-z0-9.+-]+/[a-z0-9.+-]+", "a type such as image/jpeg"),
    **dict.fromkeys(
        (f"omero_web_benchmark_{name}" for name in ("requests", "seconds", "timeout", "server")),
        at_least(1),
    ),
    "omero_web_benchmark_concurrency[]": between(1, 1000),
    "omero_web_benchmark_concurrency": (len, "a list of at least one number"),
    "omero_web_benchmark_paths[]": like(r"/([!-.0-~][!-~]*)?", "a path below omero_web_prefix, such as /webclient/"),
    "omero_web_benchmark_images[]": at_least(1),
    "omero_web_benchmark_rate": (lambda value: 0 <= float(value) <= 300, "a number from 0 to 300"),
    "omero_web_benchmark_patience": (lambda value: float(value) > 0, "a number, more than 0"),
    "omero_web_benchmark_url": like(
        r"(https?://([\w.-]+|\[[\da-fA-F:]+\])(:\d+)?)?",
        "a URL without a path, such as https://omero.example.org, or empty",
    ),
    "omero_web_benchmark_compare[].workers": at_least(0),
    "omero_web_benchmark_compare[].threads": at_least(1),
    **dict.fromkeys(("omero_web_uid", "omero_web_gid"), between(0, 2**31 - 1)),
    "omero_web_os_packages[]": like(r"[A-Za-z0-9][\w.+-]*", "the name of a package"),
    "omero_web_environment": (
        lambda texts: all(is_string(text) and text.isprintable() for text in texts.values()),
        'a dictionary of texts of one line, such as {FACILITY_MODE: "1"}',
    ),
    "omero_web_writable_paths[]": (
        WRITABLE.fullmatch,
        "a directory such as /srv/omero-web-cache, of which none is the operating system's, in a home or in /tmp",
    ),
    **dict.fromkeys(
        ("omero_web_after[]", "omero_web_requires[]"),
        like(r"[\w:.@\\-]+\.(service|socket|target|mount|path|timer|device|swap)", "a unit, such as remote-fs.target"),
    ),
    "omero_web_lock_timeout": at_least(0),
    "omero_web_limit_nofile": at_least(64),
    "omero_web_keep_generations": between(1, 20),
    "omero_web_release": like(r"(latest|\d+(\.\w+)*)?", 'a version in quotes, such as "5.33.2", latest, or empty'),
    "omero_web_python": like(r"\S*", "an interpreter, such as /usr/bin/python3, or empty"),
    # omego knows no other, and everybody sees its command line.
    "omero_web_download_url": like(
        r"https?://[^\s@?#]+", "a URL without credentials, such as https://downloads.openmicroscopy.org"
    ),
    **dict.fromkeys(
        ("omero_web_ice_wheel_checksum", "omero_web_archive_checksum"),
        like(r"(sha256:[0-9a-fA-F]{64})?", "sha256: and 64 hexadecimal digits, or empty"),
    ),
    **dict.fromkeys(
        (f"omero_web_{name}" for name in ("lock_file", "bundle", "bundle_signers", "bundle_key")),
        like(r"([/~].*[^/])?", "a path, absolute or from ~, or empty"),
    ),
    "omero_web_status_report": like(r"(.*[^/]\.html)?", "a path that ends in .html, or empty"),
    "omero_web_notify_url": like(r"(https?://[^\s/]+\S*)?", "a URL, as https://chat.example.org/hooks/…, or empty"),
    "omero_web_redis_url": like(
        r"(rediss?://([^\s/@]*@)?([\w.-]+|\[[\da-fA-F:]+\])(:\d+)?(/\d*)?(\?\S*)?|unix://([^\s/@]*@)?/\S+)?",
        "a URL as redis://:password@host:6379/0, rediss://… or unix:///path?db=0, or empty",
    ),
    "omero_web_prefix": like(r"(/[\w.~-]+)*", "a path such as /omero, without a slash at its end, or empty"),
    # Names of variables in nginx, up to 29 letters longer than this, may have 46 in nginx as it comes.
    "omero_web_instance": like(
        rf"(?!({'|'.join(TAKEN)})$)[a-z][a-z0-9]{{0,15}}|",
        f"a word of at most 16 small letters and digits, such as public, but none of {', '.join(TAKEN)}, or empty",
    ),
    "omero_web_basedir": like(r"(/[\w.+-]+)+", "an absolute path, such as /opt/omero/web"),
    "omero_web_user": like(r"(?!root$)[a-z_][a-z0-9_-]*", "the name of a user other than root"),
    "omero_web_group": like(r"[a-z_][a-z0-9_-]*", "the name of a group"),
    "omero_web_adopt_port": between(0, 65535),
    "omero_web_former.unit": like(r"([\w:.@-]+\.service)?", "the name of a service, as omero-web.service, or empty"),
    "omero_web_former.address": like(r"[\w.:\[\]]+:\d+", "an address and a port, such as 127.0.0.1:4080"),
    "omero_web_former.site": like(r"(?!.*\.\.)/etc/nginx/[\w./-]+", "the path of a file below /etc/nginx"),
    "omero_web_former.sessions": like(r"(/\S+)?", "the path of a directory, or empty"),
    "omero_web_former.cookie": like(r"[\w.-]+", "the name of a cookie, such as sessionid"),
    "omero_web_former.django": like(r"(\d+\.\d+)?", 'a version in quotes, such as "5.2", or empty'),
    "omero_web_servers[].host": like(
        r"[\w.:-]+|(wss?|ssl|tcp)://[\w.-]+(:\d+)?(/[\w./~-]*)?",
        "a host name, an address, or a URL such as wss://omero.example.org/omero-ws (or ws, ssl, tcp)",
    ),
    "omero_web_server_names": (len, "a list of at least one name"),
    "omero_web_config_append": (
        lambda append: all(isinstance(items, list) for items in append.values()),
        "a dictionary of lists, such as {omero.web.apps: [omero_figure]}",
    ),
}


# What else says whether a page of another site may show OMERO.web, and its first release that lets cookies go there.
FRAMES = ("x_frame_options", "session_cookie_samesite", "csrf_cookie_samesite")
FRAMES_SINCE = "5.21.0"

# The properties of OMERO.web that the role itself makes something of.
PROPERTIES = {
    "omero.web.application_server.host": (is_address, "an address of the host, such as 127.0.0.1, 0.0.0.0 or ::1"),
    "omero.web.application_server.port": (
        lambda value: re.fullmatch(r"\d{1,5}", str(value)) and 1 <= int(value) <= 65535,
        "a whole number from 1 to 65535",
    ),
}


def problems_of_names(names, spec):
    """Sentences on variables that look like the role's own and are not."""
    own = [name.removeprefix(PREFIX) for name in spec]
    for name in sorted(set(names) - set(spec)):
        if name.startswith(PREFIX):
            near = difflib.get_close_matches(name.removeprefix(PREFIX), own, n=1)
            remedy = f"did you mean {PREFIX}{near[0]}?" if near else f"variables named {PREFIX}* belong to it."
            yield f"{name} is not a variable of the role omero-web; {remedy}"


def problems_of_value(name, value, option):
    """Sentences on a value that its option does not allow, or on what is inside it."""
    is_kind, expected = KINDS[option["type"]]
    choices = option.get("choices", [value])
    fits, expected = CONSTRAINTS.get(re.sub(r"\[\d+\]", "[]", name), (lambda value: True, expected))
    if not is_kind(value) or value not in choices or not fits(value):
        expected = f"one of {', '.join(choices)}" if "choices" in option else expected
        yield f"{name} is {shown(value, option)}; it must be {expected}."
    elif option["type"] == "list":
        # What is in a list within a list is OMERO.web's own affair.
        element_option = {**option, "type": option["elements"], "elements": "raw"}
        for index, element in enumerate(value):
            yield from problems_of_value(f"{name}[{index}]", element, element_option)
    elif option["type"] == "dict":
        yield from (problems_of_options if "options" in option else problems_of_keys)(name, value, option)


def problems_of_options(name, value, option):
    for key in value:
        if key not in option["options"]:
            yield f"{name} has the key {key}; the keys that it may have are {', '.join(option['options'])}."
    for key, suboption in option["options"].items():
        if key in value:
            yield from problems_of_value(f"{name}.{key}", value[key], suboption)
        elif suboption.get("required"):
            yield f"{name} has no {key}; give it one."


def problems_of_keys(name, dictionary, option):
    """Where a colon is forgotten, the key of a secret is the secret itself: its place is told, not its text."""
    pattern, expected = KEYS.get(name, PROPERTY)
    for place, (key, value) in enumerate(dictionary.items(), start=1):
        if not pattern.fullmatch(str(key)):
            which = f"number {place}" if option.get("no_log") else json.dumps(str(key))
            yield f"{name} has the key {which}, which is no {expected}."
        elif not option.get("no_log") and secrecy(key, value):
            where = "everybody on the host may read it there, so " if name == "omero_web_environment" else ""
            what = f"{name} has {key}, which {secrecy(key, value)}"
            yield f"{what}; {where}give it in omero_web_secrets, which are never shown."
        elif name == "omero_web_config" and key in PROPERTIES and not PROPERTIES[key][0](value):
            yield f"{name} has {key}: {json.dumps(value)}; it must be {PROPERTIES[key][1]}."


def shown(value, option):
    """What a message may say of a value: only its kind where it is, or may hold, a secret."""
    for kind, word in ((type(None), "empty"), (Mapping, "a dictionary"), (list, "a list")):
        if isinstance(value, kind):
            return word
    may_hold_secret = option["type"] in ("dict", "list") or option.get("no_log") or "@" in str(value)
    if may_hold_secret or hasattr(value, "__ENCRYPTED__"):
        return "text" if is_string(value) else "a number or truth value"
    return json.dumps(value)


def problems_of_combinations(values):
    """Sentences on variables that are right one by one, and do not go together."""
    ways = {"omero_web_redis": boolean(values["omero_web_redis"]), "omero_web_redis_url": values["omero_web_redis_url"]}
    redis = [name for name, is_set in ways.items() if is_set]
    if len(redis) > 1:
        yield f"{' and '.join(redis)} are both set; sessions are kept in one Redis, so leave out one of them."
    if redis and "omero.web.caches" in values["omero_web_config"]:
        yield f"omero_web_config has omero.web.caches, which follows from {redis[0]}; leave out one of them."
    missing = [key for key in ("address", "site") if not values["omero_web_former"].get(key)]
    if values["omero_web_former"] and missing:
        yield f"omero_web_former has no {missing[0]}; playbooks/adopt.yml writes all of it."
    for path in values["omero_web_writable_paths"]:
        basedir = values["omero_web_basedir"]
        if f"{path}/".startswith(f"{basedir}/") or f"{basedir}/".startswith(f"{path}/"):
            yield (
                f"omero_web_writable_paths has {path}, and omero_web_basedir is {basedir}, whose code is not the "
                "service's to write; name a directory elsewhere."
            )
    yield from problems_of_trial(values)
    yield from problems_of_benchmark(values)
    yield from problems_of_wheels(values)
    has_certificate = values["omero_web_tls_certificate"] not in ("", "self-signed")
    if has_certificate != bool(values["omero_web_tls_key"]):
        given, missing = ("certificate", "key") if has_certificate else ("key", "certificate")
        yield f"omero_web_tls_{given} is given and no omero_web_tls_{missing} for it; give both."
    if re.search(r"--proxy[=\s]\s*\S+@", values["omero_web_pip_extra_args"]):
        yield (
            "omero_web_pip_extra_args has a --proxy with credentials, which everybody sees in pip's command line; give "
            "it in pip's own configuration, /etc/pip.conf."
        )
    ports = [int(values[f"omero_web_{scheme}_port"]) for scheme in ("http", "https")]
    if values["omero_web_tls_certificate"] and ports[0] == ports[1]:
        yield f"omero_web_http_port and omero_web_https_port are both {ports[0]}; set one of them to another port."
    if boolean(values["omero_web_image_cache"]):
        yield from problems_of_image_cache(values)
    if values["omero_web_worker_class"] == "gevent" and int(values["omero_web_threads"]) > 1:
        yield (
            f"omero_web_threads is {values['omero_web_threads']}, and omero_web_worker_class is gevent, whose workers "
            "have no threads; leave out one of them."
        )
    if not boolean(values["omero_web_nginx"]):
        networks = [proxy for proxy in values["omero_web_trusted_proxies"] if "/" in proxy]
        if networks:
            yield (
                f"omero_web_trusted_proxies has the network {networks[0]}, and omero_web_nginx is false; not every "
                "gunicorn knows networks, so give the address of each proxy."
            )
        if not boolean(values["omero_web_downloads"]):
            yield (
                "omero_web_downloads is false, which nginx would see to, and omero_web_nginx is false; "
                "refuse downloads in your own proxy, and leave omero_web_downloads true."
            )
        for name in LIMITS:
            if int(values[name]):
                yield f"{name} is {values[name]}, which nginx would see to, and omero_web_nginx is false; leave it out."
        if not boolean(values["omero_web_crawlers"]):
            yield (
                "omero_web_crawlers is false, which nginx would tell them, and omero_web_nginx is false; let your own "
                "proxy answer /robots.txt, and leave omero_web_crawlers true."
            )
        if values["omero_web_former"]:
            yield (
                "omero_web_former is for sites behind an nginx of the role's, and omero_web_nginx is false; take away "
                "what is there, and leave out omero_web_former."
            )
        if values["omero_web_tls_certificate"]:
            yield "omero_web_tls_certificate is for nginx, and omero_web_nginx is false; give it to your own proxy."


def problems_of_cluster(values, cluster):
    """Sentences on what does not go together with the hosts around one.

    cluster: as wanted.as_one_of_many has it, and `roles`, the groups that the host is in, and `peers`, how many hosts
    of OMERO.web there are
    """
    roles, has_balancer = cluster["roles"], bool(cluster["balancers"])
    if "omero_web_lb" in roles and "omero_web" in roles:
        yield (
            f"{cluster['host']} is in the groups omero_web and omero_web_lb, whose sites in nginx would be in each "
            "other's way; give the balancer a host of its own."
        )
    if "omero_web_lb" in roles:
        if values["omero_web_tls_certificate"] == "self-signed":
            yield (
                "omero_web_tls_certificate is self-signed, which the role makes on hosts of OMERO.web alone; give a "
                "balancer a certificate and its key, as paths or as text."
            )
        yield from problems_of_virtual_address(values, cluster)
        return
    if cluster["redis"] and not values["omero_web_redis_password"]:
        yield (
            "omero_web_redis_password is empty, and the group omero_web_redis has a host; give the password of its "
            "Redis to all hosts, from a file that ansible-vault has encrypted."
        )
    if "omero_web" in roles and values["omero_web_embedded_in"]:
        yield from problems_of_embedding(values, cluster["has_tls"])
    if "omero_web" not in roles or not (boolean(values["omero_web_balanced"]) or has_balancer):
        return
    for name in filter(cluster["no_addresses"].__contains__, cluster["balancers"]):
        yield f"omero_web_address of a balancer is {name}; it must be an address, such as 192.0.2.10."
    if has_balancer and not boolean(values["omero_web_nginx"]):
        yield "omero_web_nginx is false, and the group omero_web_lb has a host; leave omero_web_nginx true."
    if has_balancer and not values["omero_web_health_path"]:
        yield (
            "omero_web_health_path is empty, and balancers ask by it how a host is; leave it out, or give it a path "
            "such as /healthz."
        )
    if has_balancer and values["omero_web_tls_certificate"]:
        yield (
            "omero_web_tls_certificate is given to a host behind a balancer, and it is the balancer that users reach; "
            "give it to the group omero_web_lb."
        )
    if cluster["peers"] > 1:
        yield from problems_of_shared_sessions(values, cluster)


def problems_of_virtual_address(values, cluster):
    """Sentences on an address that balancers hand on among each other."""
    address, interface = values["omero_web_virtual_address"], values["omero_web_virtual_interface"]
    if address and not interface:
        yield (
            f"omero_web_virtual_address is {address}, and omero_web_virtual_interface is empty; name the network "
            "interface that is to have it, as eth0."
        )
    if address and cluster["no_addresses"]:
        yield (
            f"omero_web_virtual_address is {address}, and a balancer is known as {cluster['no_addresses'][0]}; give "
            "each balancer an address in omero_web_address, by which the others reach it."
        )


def problems_of_shared_sessions(values, cluster):
    """Sentences on hosts among which a user moves with each request."""
    is_own = boolean(values["omero_web_redis"])
    has_engine = "omero.web.session_engine" in settings_of(values) and not is_own
    if is_own or not (values["omero_web_redis_url"] or cluster["redis"] or has_engine):
        where = "omero_web_redis is true" if is_own else "sessions are kept in files"
        yield (
            f"There is a balancer before {cluster['peers']} hosts, and {where}, on each host its own: users would be "
            "logged out with every other request. Put a host into the group omero_web_redis, or set "
            "omero_web_redis_url."
        )
    if "omero.web.secret_key" not in {**values["omero_web_secrets"], **settings_of(values)}:
        yield (
            f"There is a balancer before {cluster['peers']} hosts, which have to have the same secret key; give "
            "omero.web.secret_key in omero_web_secrets (`openssl rand -base64 48` makes one)."
        )


def problems_of_wheels(values):
    """Sentences on packages that cannot be what is asked of them: exactly the same on all hosts, or another time."""
    packages = [*values["omero_web_packages"], *(app["package"] for app in values["omero_web_apps"])]
    pip = wanted.pip_of(values["omero_web_pip_extra_args"], is_offline=False)
    if values["omero_web_lock_file"]:
        editable = [source for source in pip["pip_sources"] if not wheels.are_shared([], [source])]
        astray = [*wheels.not_on_index(packages), *editable]
        if astray:
            yield (
                f"omero_web_lock_file is given, and the package {wanted.masked(astray[0])} is on no package index, "
                "where it would be found again by its checksum; put it on one, or leave out omero_web_lock_file."
            )
    if boolean(values["omero_web_offline"]):
        if not wheels.are_shared(packages, pip["pip_sources"]):
            yield (
                "omero_web_offline is true, and omero_web_packages or omero_web_pip_extra_args has an editable package "
                "(-e), which no bundle has; give the package itself."
            )
        if values["omero_web_bundle"] and not values["omero_web_bundle_signers"]:
            yield (
                "omero_web_bundle is given and no omero_web_bundle_signers, by which its signature is verified; give "
                "both."
            )


def settings_of(values):
    """The properties that apps and the site give in so many words."""
    return {**wanted.app_settings(values["omero_web_apps"]), **values["omero_web_config"]}


def has_public_user(values):
    """Tell whether the site has one, or may have: what is not purged may be set on the host. As OMERO reads it."""
    may_be_there = not boolean(values["omero_web_config_purge"])
    enabled = settings_of(values).get("omero.web.public.enabled", may_be_there)
    return str(enabled).strip().lower() in ("true", "1", "t")


def problems_of_image_cache(values):
    cookie = str(settings_of(values).get("omero.web.session_cookie_name", "sessionid"))
    if not boolean(values["omero_web_nginx"]):
        yield "omero_web_image_cache is for nginx, and omero_web_nginx is false; leave out omero_web_image_cache."
    if not has_public_user(values):
        yield (
            "omero_web_image_cache is for what everybody may see, and nobody sees anything without logging in; set "
            "omero.web.public.enabled in omero_web_config, or leave out omero_web_image_cache."
        )
    if not re.fullmatch(r"\w+", cookie):
        yield (
            f"omero_web_image_cache is true and omero.web.session_cookie_name is {json.dumps(cookie)}, which nginx has "
            "no variable for; give the cookie a name of letters, digits and underscores."
        )


def problems_of_embedding(values, has_tls_before):
    """Sentences on why a browser would not show the site within a page of another one, or nobody could log in there."""
    settings, headers, release = settings_of(values), values["omero_web_headers"], values["omero_web_release"]
    others = {"omero_web_config": [key for key in (f"omero.web.{name}" for name in FRAMES) if key in settings]}
    others["omero_web_headers"] = [
        name
        for name, value in headers.items()
        if name.lower() == "x-frame-options"
        or (name.lower() == "content-security-policy" and "frame-ancestors" in str(value).lower())
    ]
    for variable, names in others.items():
        for name in names:
            says = " with frame-ancestors" if name.lower() == "content-security-policy" else ""
            yield f"{variable} has {name}{says}, which follows from omero_web_embedded_in; leave out one of them."
    if not boolean(values["omero_web_nginx"]):
        yield "omero_web_embedded_in is for nginx, and omero_web_nginx is false; see to it in your own proxy."
    secure = [settings.get(f"omero.web.{cookie}_cookie_secure", False) for cookie in ("session", "csrf")]
    has_secure_cookies = all(boolean(one, strict=False) for one in secure)
    if not (values["omero_web_tls_certificate"] or has_tls_before or has_secure_cookies):
        yield (
            "omero_web_embedded_in is given, and the site has no TLS, without which a browser keeps no cookie in a "
            "frame; set omero_web_tls_certificate or, where a proxy before the host has the TLS, "
            "omero.web.session_cookie_secure and omero.web.csrf_cookie_secure in omero_web_config."
        )
    if release[:1].isdigit() and wanted.version_key(release) < wanted.version_key(FRAMES_SINCE):
        yield (
            f"omero_web_release is {release}, with which nobody could log in in a frame; omero_web_embedded_in takes "
            f"OMERO.web {FRAMES_SINCE} or newer."
        )


def problems_of_trial(values):
    """Sentences on as whom a generation is tried, and on what that user could find."""
    user, password = values["omero_web_trial_user"], values["omero_web_trial_password"]
    if bool(user) != bool(password):
        given, missing = ("user", "password") if user else ("password", "user")
        yield f"omero_web_trial_{given} is given and no omero_web_trial_{missing} for it; give both."
    if not boolean(values["omero_web_trial"]):
        return
    longest, most = values["omero_web_timeout"], values["omero_web_trial_timeout"]
    if int(most) <= int(longest):
        # Nobody could tell who is slow before gunicorn has ended the request.
        yield (
            f"omero_web_trial_timeout is {most} and omero_web_timeout {longest}, which one answer may take; give a "
            "trial more time than that."
        )
    if not user and not has_public_user(values):
        yield (
            "omero_web_trial is true and there is nobody to try as; give omero_web_trial_user and "
            "omero_web_trial_password, or set omero.web.public.enabled in omero_web_config."
        )


def problems_of_benchmark(values):
    user, password = values["omero_web_benchmark_user"], values["omero_web_benchmark_password"]
    if bool(user) != bool(password):
        given, missing = ("user", "password") if user else ("password", "user")
        yield f"omero_web_benchmark_{given} is given and no omero_web_benchmark_{missing} for it; give both."
    if values["omero_web_benchmark_images"] and not user and not has_public_user(values):
        yield (
            "omero_web_benchmark_images is given and there is nobody to see them; give omero_web_benchmark_user and "
            "omero_web_benchmark_password, or set omero.web.public.enabled in omero_web_config."
        )
    for index, kind in enumerate(values["omero_web_benchmark_compare"]):
        if kind.get("worker_class") == "gevent" and int(kind.get("threads", 1)) > 1:
            yield (
                f"omero_web_benchmark_compare[{index}] has the worker_class gevent, whose workers have no threads; "
                "leave out its threads."
            )


def problem_of_evaluation(name, error):
    """What went wrong in a template. Ansible's own message quotes the template, and whatever secret is in it."""
    if "vault secrets" in str(error):
        return (
            f"{name} is encrypted, and no password opens it; add --ask-vault-pass or --vault-password-file to the "
            "command, with the password of its vault."
        )
    undefined = UNDEFINED.findall(str(error))
    reason = undefined[-1] if undefined else f"its template is wrong, see `ansible -m debug -a var={name}`"
    return f"{name} cannot be evaluated: {reason}."


class ActionModule(wanted.RoleAction):
    _VALID_ARGS = frozenset()

    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        problems = list(problems_of_names(task_vars, SPEC))
        values = {}
        for name, option in SPEC.items():
            try:
                values[name] = self._templar.template(task_vars.get(name, option.get("default")))
                # What a vault has is decrypted when it is first used, which is here.
                wanted.plain(values[name])
            except AnsibleError as error:
                problems.append(problem_of_evaluation(name, error))
            else:
                problems += problems_of_value(name, values[name], option)
        if not problems:
            cluster = self._cluster()
            problems = [*problems_of_combinations(values), *problems_of_cluster(values, cluster)]
        try:
            found = problems or brands.collected(wanted.plain(values["omero_web_branding"]), wanted.LOGO, self._find)
        except brands.Problem as problem:
            problems = [str(problem)]
        if problems:
            # An exception would be announced as one.
            return {**result, "failed": True, "msg": "\n".join(problems)}
        values = {**wanted.plain(values), "omero_web_branding": found}
        if "omero_web" in cluster["roles"]:
            values = wanted.as_one_of_many(values, cluster)
        site = wanted.site_of(values, self.constants)
        look = wanted.look_arguments(site, self.constants)
        # Secrets are among what follows, so it is for the steps to come alone.
        return {**result, "changed": False, "_ansible_no_log": True, "look": look, **site}

    def _cluster(self):
        """Return what is around this host."""
        balancers, redis = self.in_group("omero_web_lb"), self.in_group("omero_web_redis")
        addresses = [self.address_of_host(host) for host in balancers]
        return {
            "host": self.hostname,
            "roles": [name for name in self.variables["group_names"] if name.startswith("omero_web")],
            "peers": len(self.in_group("omero_web")),
            "balancers": addresses,
            "no_addresses": [address for address in addresses if not is_address(address)],
            "has_tls": any(self.of_host(host, "omero_web_tls_certificate") for host in balancers),
            "redis": self.address_of_host(redis[0]) if redis else "",
        }

    def _find(self, path):
        """Return where a file or a directory is that the site names, as for Ansible's own copy."""
        try:
            return self._find_needle("files", path)
        except AnsibleError as error:
            raise LookupError(path) from error
