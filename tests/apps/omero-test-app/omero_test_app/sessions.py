"""Who is logged in, as OMERO.web's sessions have it: those of OMERO 5.4 hold a connector, later ones what is in it."""

from omeroweb.connector import Connector

HOLDS_CONNECTOR = not hasattr(Connector, "from_session")


def log_in(session, user, key):
    connector = Connector(1, True)
    connector.user_id, connector.omero_session_key = user, key
    session["connector"] = connector if HOLDS_CONNECTOR else vars(connector)


def logged_in_user(session):
    connector = session.get("connector")
    return connector and (connector.user_id if HOLDS_CONNECTOR else connector["user_id"])
