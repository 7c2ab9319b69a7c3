import socket
from contextlib import closing
from hashlib import sha256

from django.conf import settings
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from omeroweb.webclient.decorators import login_required, render_response

BLOCK = 65536


def download(request):
    """Stream ?blocks=, each with bytes that follow from its number alone, no faster than they are taken."""
    blocks = int(request.GET["blocks"])
    response = StreamingHttpResponse((block(number) for number in range(blocks)), "application/octet-stream")
    response["Content-Length"] = blocks * BLOCK
    return response


def block(number):
    pattern = sha256(b"%d" % number).digest()
    return pattern * (BLOCK // len(pattern))


@login_required()
def page(request, conn=None, **kwargs):
    """Greet whoever is logged in, unless a setting of Django's has the page break."""
    reason = getattr(settings, "OMERO_TEST_APP_BREAKS", "")
    if reason:
        raise RuntimeError(reason)
    return HttpResponse("Good day, " + conn.getUser().getName())


def reach(request):
    """Connect to the ?port= of this host, or to the unix socket at ?path=, as to a cache of sessions."""
    if "path" in request.GET:
        family, address = socket.AF_UNIX, request.GET["path"]
    else:
        family, address = socket.AF_INET, ("127.0.0.1", int(request.GET["port"]))
    with closing(socket.socket(family)) as connection:
        connection.connect(address)
    return HttpResponse()


@csrf_exempt
def upload(request):
    """Say what arrived, and as which of Django's kinds of files, which tells where it was kept meanwhile."""
    uploaded = request.FILES["file"]
    digest = sha256(b"".join(uploaded.chunks())).hexdigest()
    return JsonResponse({"sha256": digest, "kind": type(uploaded).__name__})


def top_links(request):
    """Show OMERO.web's own header with its links, which is otherwise for those whom an OMERO.server knows."""
    context = {"ome": {}}
    render_response().load_settings(request, context, conn=None)
    return render(request, "webgateway/base/base_header.html", context)


def headers(request):
    """Say what arrived of a request, headers and all."""
    return JsonResponse({name: value for name, value in request.META.items() if isinstance(value, str)})
