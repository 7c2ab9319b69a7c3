"""Who is logged in: made by name and password, joined by uuid, and gone when idle for too long or closed."""

import hmac
import logging
import threading
import time
import uuid
from dataclasses import dataclass, field

logger = logging.getLogger("stand_in")


class Refused(Exception):
    """Why nobody is let in."""


@dataclass
class Session:
    uuid: str
    user: object
    group: int
    time_to_idle: float
    started: float
    touched: float
    # What belongs to it alone, by name: rendering engines, open files.
    services: dict = field(default_factory=dict)


class Sessions:
    def __init__(self, world, passwords, time_to_idle=600.0, clock=time.time):
        self.world, self.passwords, self.time_to_idle, self.clock = world, passwords, time_to_idle, clock
        self.open = {}
        self.lock = threading.RLock()
        # Those that were started before are lost, and a shorter time than their own; see switches.py.
        self.lost_before, self.at_most = 0.0, 0.0

    def create(self, name, password):
        """Log in, or join the session whose uuid is both name and password; as OMERO does it."""
        with self.lock:
            if name == password and (session := self.find(name)):
                return session
            user = self.world.user_called(name)
            expected = "guest" if name == "guest" else self.passwords.get(name)
            if not user or not expected or not hmac.compare_digest(expected.encode(), password.encode()):
                # One sentence for both: nobody learns here which users there are.
                raise Refused("Password check failed")
            return self.begin(user)

    def begin(self, user):
        """For a user who has shown a password, or for whom an administrator asks."""
        with self.lock:
            now = self.clock()
            session = Session(str(uuid.uuid4()), user, user.groups[0], self.time_to_idle, now, now)
            self.open[session.uuid] = session
            logger.info("a session of %s begins", user.name)
            return session

    def find(self, key):
        """The session, which is in use then; None if it is gone."""
        with self.lock:
            self.expire()
            session = self.open.get(key)
            if session:
                session.touched = self.clock()
            return session

    def close(self, key):
        with self.lock:
            session = self.open.pop(key, None)
            if session:
                logger.info("a session of %s ends", session.user.name)

    def expire(self):
        now = self.clock()
        for key, session in list(self.open.items()):
            limit = self.at_most or session.time_to_idle
            if now - session.touched > limit or session.started < self.lost_before:
                del self.open[key]
