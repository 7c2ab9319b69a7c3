"""Log in by an identity provider, as a user whom OMERO.server knows already."""

import logging

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.django_client import OAuth
from django.conf import settings as web
from django.urls import reverse
from omeroweb.connector import Connector
from omeroweb.webclient.views import WebclientLoginView
from requests import RequestException

from . import settings

logger = logging.getLogger(__name__)
# The first one of omero_web_servers.
SERVER = "1"
provider = OAuth().register(
    "oidc",
    client_id=settings.OIDC_CLIENT,
    client_secret=settings.OIDC_CLIENT_SECRET,
    server_metadata_url=settings.OIDC_ISSUER + "/.well-known/openid-configuration",
    client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
)


class Refused(Exception):
    """Why somebody is not let in, as that user reads it."""


def login(request):
    """Send the browser to the identity provider. Authlib keeps state and nonce in the session."""
    request.session["oidc_url"] = request.GET.get("url", "")
    try:
        return provider.authorize_redirect(request, request.build_absolute_uri(reverse("oidc_callback")))
    except RequestException:
        logger.exception("The identity provider cannot be reached")
        return Callback().handle_not_logged_in(request, "The identity provider does not answer.")


class Callback(WebclientLoginView):
    """Where the identity provider sends the browser back to."""

    useragent = "OMERO.oidc"

    def get(self, request):
        try:
            conn = self.connection_of(self.name_of(request))
        except Refused as reason:
            return self.handle_not_logged_in(request, str(reason))
        try:
            connector = Connector(SERVER, web.SECURE, omero_session_key=conn._sessionUuid, user_id=conn.getUserId())
            # Whoever knew the session of the visitor is not to have that of the user.
            request.session.cycle_key()
            connector.to_session(request)
            # OMERO.web leads there if it is a page of its own.
            request.GET = {"url": request.session.pop("oidc_url", "")}
            return self.handle_logged_in(request, conn, connector)
        finally:
            conn.close(hard=False)

    def post(self, request):
        """Nobody logs in by a password here, where nginx would not count it."""
        return self.handle_not_logged_in(request, "Log in by the identity provider.")

    def name_of(self, request):
        try:
            name = provider.authorize_access_token(request)["userinfo"].get(settings.OIDC_CLAIM)
        except (AuthlibBaseError, RequestException, KeyError):
            logger.exception("The identity provider has not let somebody in")
            raise Refused("The identity provider has not let you in.") from None
        if not name:
            raise Refused("The identity provider does not say who you are in OMERO.")
        return name

    def connection_of(self, name):
        """Return a connection as the user. An administrator begins it, and is never who is logged in."""
        admin = Connector(SERVER, True).create_connection(
            self.useragent, settings.OIDC_ADMIN_USER, settings.OIDC_ADMIN_PASSWORD
        )
        if admin is None:
            logger.error("%s cannot log in to OMERO.server", settings.OIDC_ADMIN_USER)
            raise Refused("Server is not responding, please contact administrator.")
        try:
            conn = admin.suConn(name, ttl=web.SESSION_COOKIE_AGE * 1000)
        finally:
            admin.close()
        if conn is None:
            raise Refused(f"OMERO has no user {name}; ask for an account.")
        if conn.isAdmin():
            conn.close()
            raise Refused("Administrators of OMERO log in by their password.")
        return conn
