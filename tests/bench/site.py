"""A site with the role's configuration of nginx, and the same one with what `omero web config nginx` generates.

bench.yml runs it: on its standard input is what wrk and the kernel said of both. It adds what a browser says of
the login page, first with an empty cache and then again, and prints each figure beside its counterpart. A ratio above 1
is how many times better the role's is. Times and rates are the best of several, which whatever else the machine does
disturbs least.
"""

import json
import re
import sys
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2] / "molecule"))
from browser import Visitor, browser_of  # noqa: E402

GENERATED, OURS = 8443, 443
VISITORS = 10
# Thumbnails per second in OMERO's own documentation ("OMERO.web WSGI deployment").
DOCUMENTED = 27.93
# Somebody at home: 20 Mbit/s, and 40 ms to the site and back.
LINE = {"offline": False, "latency": 40, "downloadThroughput": 2_500_000, "uploadThroughput": 1_250_000}
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def main():
    address, login_page = sys.argv[1:]
    given = json.load(sys.stdin)
    print(f"{'nginx':38} {'generated':>10} {'ours':>10} {'ratio':>8}")
    for name, generated, ours in browsed(address, login_page):
        print(f"{name:38} {generated:10.0f} {ours:10.0f} {generated / ours:7.1f}x")
    for page in dict.fromkeys(run["item"][2] for run in given["pages"]):
        generated, ours = (requests_per_second(given["pages"], port, page) for port in (GENERATED, OURS))
        print(f"{page.partition('?')[0] + ', requests/s':38} {generated:10.0f} {ours:10.0f} {ours / generated:7.2f}x")
    # By whether nginx was told that the session is a visitor's.
    marks = sorted({run["item"][1] for run in given["picture"]})
    rendered, kept = (requests_per_second(given["picture"], mark) for mark in marks)
    print(f"{'public thumbnail':38} {'rendered':>10} {'kept':>10}")
    print(f"{'requests/s':38} {rendered:10.0f} {kept:10.0f} {kept / rendered:7.1f}x")
    print(f"{'documented':38} {DOCUMENTED:10.2f} {kept:10.0f} {kept / DOCUMENTED:7.1f}x")
    for kind in ("Rss", "Pss"):
        sizes = [int(size) for size in re.findall(rf"{kind}: +(\d+)", given["memory"])]
        print(f"{len(sizes)} workers, {kind.upper()} of each in MB {median(sizes) / 1024:29.0f}")


def browsed(address, login_page):
    """Figures of the login page by their names; visitors come to one site and the other in turn."""
    figures = {}
    with browser_of(f"https://{address}") as browser:
        for _ in range(VISITORS):
            for port in (GENERATED, OURS):
                for name, figure in visit(Visitor(browser, f"https://{address}:{port}", line=LINE), login_page):
                    figures.setdefault(name, {GENERATED: [], OURS: []})[port].append(figure)
    for name, measured in figures.items():
        yield name, min(measured[GENERATED]), min(measured[OURS])


def visit(visitor, login_page):
    for time in ("first visit", "again"):
        page = visitor.open(login_page)
        page.wait_for_load_state("networkidle")
        sizes = [size for size in visitor.wire.values() if size]
        yield f"login page, {time}: bytes", sum(sizes)
        yield f"login page, {time}: requests", len(sizes)
        yield f"login page, {time}: ms", page.evaluate(LOADED)
    visitor.close()


def requests_per_second(runs, *item):
    outputs = [run["stdout"] for run in runs if run["item"][1:] == [*item]]
    assert not any("Non-2xx" in output for output in outputs), "other answers than were asked for"
    return max(float(re.search(r"Requests/sec: +([\d.]+)", output)[1]) for output in outputs)


if __name__ == "__main__":
    main()
