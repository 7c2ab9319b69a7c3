from hashlib import shake_128

from django.http import JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from omeroweb.connector import Connector
from omeroweb.webclient.decorators import render_response

BLOCK = 65536


def download(request):
    """Stream ?blocks=, each with bytes that follow from its number alone, no faster than they are taken."""
    blocks = int(request.GET["blocks"])
    return StreamingHttpResponse(
        (shake_128(b"%d" % number).digest(BLOCK) for number in range(blocks)),
        content_type="application/octet-stream",
        headers={"Content-Length": blocks * BLOCK},
    )


def top_links(request):
    """Show OMERO.web's own header with its links, which is otherwise for those whom an OMERO.server knows."""
    context = {"ome": {}}
    render_response().load_settings(request, context, conn=None)
    return render(request, "webgateway/base/base_header.html", context)


def user(request):
    """Say who is logged in, by the session that OMERO.web keeps."""
    connector = Connector.from_session(request)
    return JsonResponse({"user": connector and connector.user_id})


def headers(request):
    """Say what arrived of a request, headers and all."""
    return JsonResponse({name: value for name, value in request.META.items() if isinstance(value, str)})
