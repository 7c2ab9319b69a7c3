"""What users get from each kind of workers. workers.yml runs it.

workers.py log-in SITE                                 print the key of a session
workers.py meanwhile SITE SESSION downloads|pictures   print, as JSON, how long the login page and a thumbnail take at
                                                       rest, and then while others download slowly, or while others
                                                       wait for pictures that OMERO.server does not render
workers.py table                                       put such figures, JSON on standard input, side by side
"""

import json
import re
import sys
import time
from functools import partial
from pathlib import Path
from threading import Thread

import requests

sys.path.insert(0, str(Path(__file__).parents[2] / "molecule"))
sys.path.insert(0, str(Path(__file__).parents[1] / "omero-server"))
from clients import LOGIN, User  # noqa: E402
from stand_in.world import World  # noqa: E402
from traffic import Download  # noqa: E402

NAME, PASSWORD = "researcher", "researcher-hunter2"
THUMBNAIL = "/webclient/render_thumbnail/1/"
PLANE = "/webgateway/render_image/1/2/0/"
NUMBER = {"downloads": 50, "pictures": 20}
TIMES = 20
# Seconds after which somebody goes away.
PATIENCE = 10
# Requests per second that OMERO's documentation shows, for thumbnails of a site of 2017.
DOCUMENTED = 27.93


def log_in(site):
    user = User(site)
    assert user.log_in(NAME, PASSWORD).status_code == 302, "nobody is let in"
    print(user.session.cookies["sessionid"])


def meanwhile(site, session, what):
    cookie = {"Cookie": f"sessionid={session}"}
    rest = times(site, cookie)
    if what == "downloads":
        image = next(image for image in World().images.values() if image.file_size)
        path = f"{site}/webgateway/archived_files/download/{image.id}/"
        others = [Download(path, session=session) for _ in range(NUMBER[what])]
    else:
        ask = partial(requests.get, site + PLANE, headers=cookie)
        others = [Thread(target=ask) for _ in range(NUMBER[what])]
    for other in others:
        # They end with this process.
        other.daemon = True
        Thread.start(other)
    time.sleep(PATIENCE)
    busy = times(site, cookie)
    begun = sum(other.is_alive() and (what == "pictures" or other.is_under_way.is_set()) for other in others)
    print(json.dumps({"begun": begun, "rest": rest, "busy": busy}))


def times(site, cookie):
    """Median and slowest of some answers, in milliseconds; none if there is none in time."""
    figures = {}
    for name, path, headers in (("login page", LOGIN, {}), ("thumbnail", THUMBNAIL, cookie)):
        seconds = []
        for _ in range(TIMES):
            start = time.monotonic()
            try:
                assert requests.get(site + path, headers=headers, timeout=PATIENCE).status_code == 200
            except (requests.exceptions.RequestException, AssertionError):
                seconds = None
                break
            seconds.append(1000 * (time.monotonic() - start))
        figures[name] = seconds and [sorted(seconds)[TIMES // 2], max(seconds)]
    return figures


def shown(figure):
    return f"{figure[0]:.0f} / {figure[1]:.0f}" if figure else "none"


def rows_of(kind):
    """Each figure of a kind of workers by what it says."""
    for name, path in (("thumbnails", THUMBNAIL), ("512x512 planes", PLANE)):
        runs = [run["stdout"] for run in kind["apache_bench"] if run["item"][1] == path]
        assert not any("Non-2xx" in run or not re.search(r"Failed requests: +0\n", run) for run in runs), name
        best = max(runs, key=lambda run: number("Requests per second: +", run))
        yield f"{name}, requests/s", f"{number('Requests per second: +', best):.1f}"
        yield f"{name}, ms: median / 95 %", f"{number('  50% +', best):.0f} / {number('  95% +', best):.0f}"
    kilobytes = map(int, re.findall(r"(\d+) kB", kind["memory"]))
    yield "memory, MB", f"{sum(kilobytes) / 1024:.0f}"
    for what, others in (("downloads", "slow downloads"), ("pictures", "pictures that do not come")):
        figures = kind[what]
        yield f"of {NUMBER[what]} {others} at once, begun", str(figures["begun"])
        for name in figures["rest"]:
            yield f"  {name}, ms: median / slowest before", shown(figures["rest"][name])
            yield "    and meanwhile", shown(figures["busy"][name])


def number(label, text):
    return float(re.search(rf"{label}([\d.]+)", text)[1])


def table():
    kinds = json.load(sys.stdin)
    print(f"{'workers':48}" + "".join(f"{kind['kind']:>14}" for kind in kinds))
    for row in zip(*map(rows_of, kinds), strict=True):
        print(f"{row[0][0]:48}" + "".join(f"{value:>14}" for _, value in row))
    print(f"(OMERO's documentation shows {DOCUMENTED} thumbnails per second.)")


if __name__ == "__main__":
    {"log-in": log_in, "meanwhile": meanwhile, "table": table}[sys.argv[1]](*sys.argv[2:])
