"""Gunicorn as the omero.web.* properties of this generation describe it.

Nothing is decided here: `omero config get`, with OMERO.web's defaults, is the whole truth. What this file adds is
how a worker becomes ready: loaded, warmed with a first page, and only then announced to systemd.
"""
import gc
import os
import shlex
import socket
import tempfile
from wsgiref.util import setup_testing_defaults

from gunicorn.config import Config
from omero.config import ConfigXml

_OMERODIR = os.environ["OMERODIR"]
_properties = ConfigXml(os.path.join(_OMERODIR, "etc", "grid", "config.xml"), read_only=True).as_map()

if _properties.get("omero.web.wsgi_worker_class") == "gevent":
    # Before anything imports what it patches.
    from gevent import monkey

    monkey.patch_all()

# Sessions are there. On a full disk, Python would look for another place.
tempfile.tempdir = os.environ["TMPDIR"]

from omeroweb import settings  # noqa: E402

# Gunicorn would report READY before its workers have loaded OMERO.web: the last worker reports it instead.
_notify_socket = os.environ.pop("NOTIFY_SOCKET", None)

_host = settings.APPLICATION_SERVER_HOST
bind = "%s:%s" % ("[%s]" % _host if ":" in _host else _host, settings.APPLICATION_SERVER_PORT)
# A link, which gunicorn would replace.
pidfile = os.path.realpath(os.path.join(_OMERODIR, "var", "django.pid"))
workers = settings.WSGI_WORKERS
worker_class = settings.WSGI_WORKER_CLASS
threads = settings.WSGI_THREADS
worker_connections = settings.WSGI_WORKER_CONNECTIONS
if worker_connections <= threads:
    # No worker has one to spare for a client that may ask again, of which gunicorn would warn; nginx opens a new one.
    keepalive = 0
timeout = settings.WSGI_TIMEOUT
max_requests = settings.APPLICATION_SERVER_MAX_REQUESTS
max_requests_jitter = max_requests // 10
graceful_timeout = int(os.environ.get("OMERO_WEB_GRACEFUL_TIMEOUT", "30"))
# Workers forked from a loaded and warmed master start at once and share its memory. Those of gevent may, too: counted
# at each fork, through reloads and replaced workers, were no greenlet but the main one and the hub, no thread of
# gevent's and no socket but the listening one; and the hub is renewed in the worker, by gevent's own fork as by
# gunicorn. Before Python 3.7, which learned to keep that memory shared, it gains little; and under 2.7 a reload has
# ended such a master.
preload_app = worker_class != "gevent" or hasattr(gc, "freeze")
worker_tmp_dir = "/dev/shm"
control_socket_disable = True

# OMERO.web leaves out the attributes of settings that have neither a value nor a default.
_prefix = getattr(settings, "FORCE_SCRIPT_NAME", None) or ""

# `omero web start` puts these on gunicorn's command line; here, too, they win over everything above.
_arguments = Config().parser().parse_args(shlex.split(getattr(settings, "WSGI_ARGS", None) or ""))
globals().update((name, value) for name, value in vars(_arguments).items() if value not in (None, []))


def _warm(application):
    """Ask for the login page once, so that no user waits for the imports and templates of a first request."""
    names = [name.lstrip(".") for name in settings.ALLOWED_HOSTS if "*" not in name]
    environ = {"SCRIPT_NAME": _prefix, "PATH_INFO": "/webclient/login/", "HTTP_HOST": (names + ["localhost"])[0]}
    setup_testing_defaults(environ)
    response = application(environ, lambda status, headers, exc_info=None: None)
    for _ in response:
        pass
    response.close()


def _with_prefix(application):
    """Take the prefix off a path that has it. nginx does so itself, by a header, which Gunicorn understands.

    Gunicorn's own way, a SCRIPT_NAME in its environment, would refuse all other paths, and with them the requests that
    nginx sends here while a generation with one prefix takes over from one with another.
    """

    def answer(environ, start_response):
        path = environ["PATH_INFO"]
        if not environ["SCRIPT_NAME"] and path.startswith(_prefix + "/"):
            environ.update(SCRIPT_NAME=_prefix, PATH_INFO=path[len(_prefix) :])
        return application(environ, start_response)

    return answer


def _signed(application):
    """Say in every answer which generation gave it, and let nginx compress as a whole what comes as a whole."""
    signature = ("Omero-Web-Generation", os.path.basename(os.path.realpath(_OMERODIR)))
    whole = ("X-Accel-Buffering", "yes")

    def answer(environ, start_response):
        def start_signed(status, headers, *exc_info):
            # Whatever is longer may be a download, of which each part goes on as it comes.
            is_whole = any(name.lower() == "content-length" and int(value) < 1 << 20 for name, value in headers)
            return start_response(status, headers + [signature] + [whole] * is_whole, *exc_info)

        return application(environ, start_signed)

    return answer


def on_starting(server):
    if server.cfg.preload_app:
        _warm(server.app.wsgi())
        # Or the first collection in each worker would touch, and so copy, all that they share.
        if hasattr(gc, "freeze"):
            gc.freeze()


def post_worker_init(worker):
    if not worker.cfg.preload_app:
        _warm(worker.wsgi)
    worker.wsgi = _signed(_with_prefix(worker.wsgi))
    # Not before the last of the workers, or a stop that follows at once would find a master that is still forking.
    if _notify_socket and worker.age >= worker.cfg.workers:
        address = "\0" + _notify_socket[1:] if _notify_socket.startswith("@") else _notify_socket
        notification = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notification.sendto(b"READY=1", address)
        notification.close()
