"""The installed nginx site against the one that OMERO.web itself generates, directive by directive."""

import re

import crossplane
import pytest

# What OMERO.web's site has under another name: its own location, and ours.
RENAMED = {
    # What goes to OMERO.web goes there in the same way, from whichever location.
    "server location @proxy_to_app": "server",
    # A location without the slash also takes /staticfoo, and with an alias lets requests climb out of the directory.
    "server location /static": "server location /static/",
}

# Directives that OMERO.web's site has and ours does not.
LEFT_OUT = {
    # The static files are those of the release, with the slash that belongs to the location's.
    "server location /static/: alias {static}",
    # The pages of that directory do not exist: the installed OMERO.web has none, and their name is misspelt.
    "server location @maintenance: root {generation}/etc/templates/error",
    "server location @maintenance: try_files $uri /maintainance.html =502",
    # It never shows: this location does not proxy, so it never has the error.
    "server location {root}: error_page 502 @maintenance",
    # Requests go straight to OMERO.web; a look for a static file of the same path first would find nothing.
    "server location {root}: try_files $uri @proxy_to_app",
    "server: proxy_pass http://omeroweb",
    # Whoever can send a request could fill the disk.
    "server: client_max_body_size 0",
}


def directives(block, context=""):
    """Every directive of an nginx configuration as 'context: directive', and every context."""
    found = set()
    for line in block:
        text = " ".join([line["directive"], *line["args"]])
        if "block" in line:
            found |= directives(line["block"], f"{context} {text}".strip())
        else:
            found.add(f"{context}: {text}")
    return found


@pytest.fixture
def parse(tmp_path):
    def parse(text):
        path = tmp_path / "site.conf"
        path.write_text(text)
        payload = crossplane.parse(str(path), single=True, check_ctx=False, catch_errors=False)
        return directives(payload["config"][0]["parsed"])

    return parse


def test_site_has_what_that_of_omero_web_has(host, parse, variables, basedir, properties, generation):
    values = {
        "basedir": basedir,
        "generation": f"{basedir}/generations/{generation}",
        "root": variables["omero_web_prefix"] or "/",
        "static": properties["omero.web.static_root"],
    }
    server_names = " ".join(variables["omero_web_server_names"])
    generated = host.check_output(
        "omero web config nginx --http %s --servername %s", str(variables["omero_web_http_port"]), server_names
    )
    # OMERO.web adds its prefix to the names of upstream and locations, so that several sites can share an nginx.
    wanted = parse(re.sub(r"\b(omeroweb|maintenance|proxy_to_app)_\w+", r"\1", generated))
    for theirs, ours in RENAMED.items():
        moved = {line for line in wanted if line.startswith(f"{theirs}:")}
        assert moved, f"OMERO.web's site has no {theirs} any more"
        wanted = wanted - moved | {line.replace(theirs, ours) for line in moved}
    installed = parse(host.file("/etc/nginx/conf.d/omero-web.conf").content_string)
    assert wanted - installed == {directive.format(**values) for directive in LEFT_OUT}


def test_nginx_takes_it(host):
    assert host.run("nginx -t -q").stderr == ""
