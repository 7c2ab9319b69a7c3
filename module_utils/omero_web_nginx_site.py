# -*- coding: utf-8 -*-
"""A site in nginx that leads to an OMERO.web: what it says, and what of that OMERO.web does not generate itself."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import re
from collections import namedtuple

# block is None where a directive ends with a semicolon.
Directive = namedtuple("Directive", "words block")

TOKEN = re.compile(r"""(?x) \s* (?:
    \# [^\n]* |
    ( " (?: \\. | [^"\\] )* " | ' (?: \\. | [^'\\] )* ' | [{};] | (?: \\. | \$\{[^}\s]*\} | [^\s{};"'\\] )+ )
)""")
# What of it the role's own site does in its way, too.
GENERATED = {
    "server": ("listen", "server_name", "sendfile", "client_max_body_size", "ssl_certificate", "ssl_certificate_key"),
    "location": ("alias", "root", "try_files", "error_page", "proxy_redirect", "proxy_buffering", "proxy_pass",
                 "proxy_set_header X-Forwarded-Proto", "proxy_set_header X-Forwarded-For", "proxy_set_header Host"),
}
GENERATED_LOCATIONS = re.compile(r"@maintenance|@proxy_to_app|/")
LONGEST = 300


# --- reading ----------------------------------------------------------------------------------------------------------


def parsed(text):
    """Return the directives of a file of nginx, as far as it can be read; what cannot ends it."""
    stack, words = [[]], []
    for found in TOKEN.finditer(text):
        token = found.group(1)
        if token is None:
            continue
        if token == ";":
            if words:
                stack[-1].append(Directive(words, None))
            words = []
        elif token == "{":
            block = []
            stack[-1].append(Directive(words, block))
            stack.append(block)
            words = []
        elif token == "}":
            if len(stack) == 1:
                break
            stack.pop()
            words = []
        else:
            words = words + [token]
    return stack[0]


def named(directives, *names):
    return [one for one in directives if one.words and one.words[0] in names]


def inside(directives):
    """Return directives and all that are in their blocks."""
    for one in directives:
        yield one
        for below in inside(one.block or []):
            yield below


def values(directives, name):
    return [one.words[1:] for one in named(directives, name)]


# --- which site -------------------------------------------------------------------------------------------------------


def sites_to(trees, address):
    """Return what is known of the sites, by (path, directives), that lead to an OMERO.web at (host, port)."""
    upstreams = set(one.words[1] for dummy, tree in trees for one in named(tree, "upstream") if len(one.words) == 2
                    and any(leads_to(words[0], address) for words in values(one.block, "server") if words))
    found = []
    for path, tree in trees:
        servers = [one.block for one in named(tree, "server") if one.block is not None]
        serving = [block for block in servers if any(
            leads_to(place(words), address) or place(words) in upstreams
            for one in inside(block) for words in [one.words[1:]] if one.words[:1] == ["proxy_pass"] and words)]
        if serving:
            others = [block for block in servers if block not in serving]
            found.append({"path": path, "tree": tree, "server": serving[0],
                          "others": [block for block in others if not is_redirect(block)] + serving[1:],
                          "variables": variables_of(serving[0], [block for block in others if is_redirect(block)])})
    return found


def place(words):
    """Return what a proxy_pass names, without its scheme and its path."""
    return re.sub(r"^https?://([^/]*).*", r"\1", words[0])


def leads_to(place, address):
    host, dummy, port = place.rpartition(":")
    local = ("127.0.0.1", "localhost", "[::1]")
    return port == str(address[1]) and (host in local or host.strip("[]") == address[0])


def is_redirect(block):
    """Tell whether a server does nothing but lead users to TLS."""
    names = set(one.words[0] for one in inside(block))
    return names <= {"listen", "server_name", "return", "location", "rewrite"} and any(
        "https://" in word for one in inside(block) for word in one.words)


def variables_of(server, redirects):
    """Return the variables of the role by which its site listens as this one does."""
    listens = values(server, "listen")
    secure = [words for words in listens if "ssl" in words[1:]]
    plain = [words for words in listens if words not in secure]
    for block in redirects:
        plain += values(block, "listen")
    variables = {}
    for name, words in (("omero_web_http_port", plain), ("omero_web_https_port", secure)):
        ports = [port_of(one[0]) for one in words if one]
        if ports and ports[0] not in (80, 443):
            variables[name] = ports[0]
    names = [name for words in values(server, "server_name") for name in words if name not in ("_", '""')]
    if names and names != ["$hostname"]:
        variables["omero_web_server_names"] = names
    for name in "certificate", "certificate_key":
        for words in values(server, "ssl_" + name)[:1]:
            variables["omero_web_tls_" + name.rpartition("_")[2]] = words[0].strip("\"'")
    for words in values(server, "client_max_body_size")[:1]:
        megabytes = re.match(r"(\d+)([mMgG]?)\Z", words[0])
        if megabytes and (megabytes.group(2) or words[0] == "0"):
            variables["omero_web_max_upload_mb"] = int(megabytes.group(1)) * (1024 if words[0][-1] in "gG" else 1)
    return variables


def port_of(text):
    found = re.search(r"(?:^|:)(\d+)\Z", text)
    return int(found.group(1)) if found else 80


# --- what else it says ------------------------------------------------------------------------------------------------


def differences(site, extra):
    """Return what a site has beside what OMERO.web generates; `extra` is what it generates by the site's settings."""
    known = set(map(text_of, parsed(extra)))
    found = [text_of(one) for one in site["tree"] if one.words[0] not in ("server", "upstream")]
    found += ["server { %s }" % " ".join(map(text_of, block)) for block in site["others"]]
    for one in site["server"]:
        if text_of(one) in known or is_generated(one, "server"):
            continue
        if one.words[0] == "location" and GENERATED_LOCATIONS.match(one.words[-1]) and leads_on(one):
            found += ["in location %s, %s" % (" ".join(one.words[1:]), text_of(inner))
                      for inner in one.block if not is_generated(inner, "location")]
        else:
            found.append(text_of(one))
    return [text if len(text) <= LONGEST else text[:LONGEST] + "..." for text in found]


def leads_on(location):
    """Tell whether a location is one that OMERO.web generates: it has at least one of what these are made of."""
    return any(one.words[0] in ("alias", "root", "try_files", "proxy_pass") for one in location.block or [])


def is_generated(directive, context):
    return any(directive.words[:len(name.split())] == name.split() for name in GENERATED[context])


def text_of(directive):
    words = " ".join(directive.words)
    if directive.block is None:
        return words + ";"
    return "%s { %s }" % (words, " ".join(map(text_of, directive.block)))
