"""What a site says of its identity provider, among OMERO.web's own properties."""

import sys

from omeroweb.settings import process_custom_settings, report_settings


def given(value):
    if not value:
        raise ValueError("it is to be given")
    return str(value)


OIDC_SETTINGS = {
    "omero.web.oidc.issuer": ["OIDC_ISSUER", "", given, "URL of the identity provider, without /.well-known"],
    "omero.web.oidc.client": ["OIDC_CLIENT", "", given, "The name by which it knows OMERO.web"],
    "omero.web.oidc.client_secret": ["OIDC_CLIENT_SECRET", "", given, "The secret that goes with that name"],
    "omero.web.oidc.claim": ["OIDC_CLAIM", "", given, "What of a user is the login in OMERO; users must not choose it"],
    "omero.web.oidc.admin.user": ["OIDC_ADMIN_USER", "", given, "Who may begin sessions of users in OMERO"],
    "omero.web.oidc.admin.password": ["OIDC_ADMIN_PASSWORD", "", given, "That user's password"],
}
process_custom_settings(sys.modules[__name__], "OIDC_SETTINGS")
report_settings(sys.modules[__name__])
