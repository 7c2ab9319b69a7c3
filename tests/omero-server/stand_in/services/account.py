"""Who one is, and what the server says of itself."""

import omero
import omero_api_IAdmin_ice  # noqa: F401
import omero_api_IConfig_ice  # noqa: F401
import omero_api_ILdap_ice  # noqa: F401
import omero_api_ISession_ice  # noqa: F401

from .. import objects
from ..dispatch import Service, refusal, serves


@serves(omero.api.IAdmin)
class Admin(Service):
    def getEventContext(self, current):
        return self.objects.event_context(self.session)

    def getSecurityRoles(self, current):
        return objects.roles()

    def getExperimenter(self, number, current):
        return self.objects.experimenter(self.find("users", number), with_groups=True)

    def lookupExperimenter(self, login, current):
        user = self.world.user_called(login)
        if not user:
            raise refusal(f"No such experimenter: {login}")
        return self.objects.experimenter(user, with_groups=True)

    def lookupExperimenters(self, current):
        return [self.objects.experimenter(user, with_groups=True) for user in self.world.users.values()]

    def getGroup(self, number, current):
        return self.objects.experimentergroup(self.find("groups", number), with_members=True)

    def lookupGroups(self, current):
        return [self.objects.experimentergroup(group, with_members=True) for group in self.world.groups.values()]

    def containedGroups(self, number, current):
        return [self.objects.experimentergroup(self.world.groups[group]) for group in self.find("users", number).groups]

    def containedExperimenters(self, number, current):
        return [self.objects.experimenter(user) for user in self.world.users.values() if number in user.groups]

    def getDefaultGroup(self, number, current):
        return self.objects.experimentergroup(self.world.groups[self.find("users", number).groups[0]])

    def getMemberOfGroupIds(self, experimenter, current):
        return list(self.find("users", experimenter.id.val).groups)

    def getLeaderOfGroupIds(self, experimenter, current):
        return []

    def getCurrentAdminPrivileges(self, current):
        return []

    def getMyUserPhotos(self, current):
        return []

    def lookupLdapAuthExperimenter(self, number, current):
        return ""

    def find(self, kind, number):
        found = getattr(self.world, kind).get(number)
        if not found:
            raise refusal(f"There is nothing with id {number} among the {kind}")
        return found


@serves(omero.api.IConfig)
class Config(Service):
    def getVersion(self, current):
        return self.server.version

    def getConfigValue(self, key, current):
        return self.getConfigValues(key, current).get(key, "")

    def getConfigValues(self, expression, current):
        return {**self.server.configuration, "omero.version": self.server.version}

    def getClientConfigDefaults(self, current):
        return {key: value for key, value in self.server.configuration.items() if key.startswith("omero.client.")}

    getClientConfigValues = getClientConfigDefaults

    def getDatabaseUuid(self, current):
        return "5ca1ab1e-0000-4000-8000-000000000000"


@serves(omero.api.ILdap)
class Ldap(Service):
    def getSetting(self, current):
        return False


@serves(omero.api.ISession)
class Session(Service):
    def getSession(self, uuid, current):
        session = self.server.sessions.find(uuid)
        if not session:
            raise omero.RemovedSessionException(None, "stand-in", f"No session with uuid:{uuid}")
        return self.objects.session(session)

    def createSessionWithTimeout(self, principal, milliseconds, current):
        """For somebody else; how long it may last is not kept to."""
        user = self.world.user_called(principal.name)
        if not self.session.user.is_admin:
            raise omero.SecurityViolation(None, "stand-in", "Only administrators begin sessions of others")
        if not user:
            raise refusal(f"No such experimenter: {principal.name}")
        return self.objects.session(self.server.sessions.begin(user))

    def getReferenceCount(self, uuid, current):
        return 1

    def closeSession(self, session, current):
        """Clients call it until it says that nobody is left."""
        self.server.sessions.close(session.uuid.val)
        return -2

    def getMyOpenSessions(self, current):
        return [self.objects.session(self.session)]

    getMyOpenAgentSessions = getMyOpenClientSessions = lambda self, _, current: self.getMyOpenSessions(current)
