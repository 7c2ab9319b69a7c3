"""How a call reaches what answers it: the servants, who finds them, and the faults on the way."""

import functools
import logging
import time
import uuid

import Ice
import omero

from .switches import matches

logger = logging.getLogger("stand_in")

# A method that returns None answers without a value, for IcePy does not say which operations have none. One that has a
# value, and that a null one, returns this.
NULL = object()
# How often a call that is not to be answered looks whether it is, after all.
LOOK_SECONDS = 0.2


class Service:
    """What a session has of one kind. A subclass has a method for each operation that the stand-in answers."""

    def __init__(self, server, session):
        self.server, self.session = server, session

    @property
    def world(self):
        return self.server.world

    @property
    def objects(self):
        return self.server.objects_for(self.session)


def refusal(text):
    """The kind of error that OMERO.web expects of a call that it should not have made."""
    return omero.ApiUsageException(None, "stand-in", text)


def serves(interface):
    """Let a class of plain methods answer the operations of an Ice interface, the others of which are refused aloud."""

    def decorate(service):
        attributes = {}
        for name in dir(interface):
            operation = name[len("_op_") :]
            if not name.startswith("_op_"):
                continue
            method = getattr(service, operation, None)
            if hasattr(interface, f"{operation}_async"):
                attributes[f"{operation}_async"] = answer_later(operation, method)
            else:
                attributes[operation] = method or missing(operation)
        return type(service.__name__, (service, interface), attributes)

    return decorate


def missing(operation):
    def refuse(self, *_):
        text = f"{type(self).__name__}.{operation} is not part of this stand-in for OMERO.server"
        logger.error(text)
        raise refusal(text)

    return refuse


def answer_later(operation, method):
    """Ice hands such an operation a callback: the only way to answer."""
    method = method or missing(operation)

    @functools.wraps(method)
    def answer(self, callback, *arguments):
        try:
            value = method(self, *arguments)
        except (Ice.UserException, Ice.LocalException) as error:
            callback.ice_exception(error)
        except Exception as error:
            logger.exception("%s.%s failed", type(self).__name__, operation)
            callback.ice_exception(omero.InternalException(None, "stand-in", f"{operation}: {error!r}"))
        else:
            callback.ice_response(*([] if value is None else [None] if value is NULL else [value]))

    return answer


class Locator(Ice.ServantLocator):
    """Finds who answers a call: the session is the category of an identity, its service the name.

    Without a session there is nobody, so that a session that is closed or lost takes all that belongs to it along.
    """

    def __init__(self, server):
        self.server = server

    def locate(self, current):
        suffer(self.server.switches, current.operation)
        identity = current.id
        session = self.server.sessions.find(identity.category or identity.name)
        if not session:
            return None
        return session.services.get(identity.name)

    def finished(self, current, servant, cookie):
        pass

    def deactivate(self, category):
        pass


def suffer(switches, operation):
    """Let the call meet with the faults that are switched on."""
    state = switches.state
    if state.is_slow(operation):
        # The fault itself.
        time.sleep(state.latency)
    while matches(operation, switches.state.hang):
        # An answer that never comes; unless the switch is taken back.
        time.sleep(LOOK_SECONDS)
    if matches(operation, state.refuse):
        logger.info("refused %s, as the switch says", operation)
        raise Ice.UnknownLocalException(f"the stand-in refuses {operation}, as its switch says")


def unique(kind):
    return f"{uuid.uuid4()}/{kind}"
