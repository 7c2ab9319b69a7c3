"""The way in: Glacier2's router, and the factory of services that belongs to a session."""

import Glacier2
import Ice
import omero
import omero_API_ice  # noqa: F401

from ..dispatch import Service, refusal, serves, suffer, unique
from ..sessions import Refused
from . import account, data, files, pictures, things

STATELESS = {
    "getAdminService": (account.Admin, omero.api.IAdminPrx),
    "getConfigService": (account.Config, omero.api.IConfigPrx),
    "getContainerService": (data.Container, omero.api.IContainerPrx),
    "getLdapService": (account.Ldap, omero.api.ILdapPrx),
    "getMetadataService": (data.Metadata, omero.api.IMetadataPrx),
    "getPixelsService": (pictures.Pixels, omero.api.IPixelsPrx),
    "getQueryService": (data.Query, omero.api.IQueryPrx),
    "getRenderingSettingsService": (pictures.RenderingSettings, omero.api.IRenderingSettingsPrx),
    "getRepositoryInfoService": (things.Repository, omero.api.IRepositoryInfoPrx),
    "getRoiService": (things.Rois, omero.api.IRoiPrx),
    "getScriptService": (things.Scripts, omero.api.IScriptPrx),
    "getSessionService": (account.Session, omero.api.ISessionPrx),
    "getShareService": (things.Shares, omero.api.ISharePrx),
    "getTimelineService": (things.Timeline, omero.api.ITimelinePrx),
    "getTypesService": (things.Types, omero.api.ITypesPrx),
    "getUpdateService": (things.Update, omero.api.IUpdatePrx),
}
# A new one for each call.
STATEFUL = {
    "createRawFileStore": (files.RawFile, omero.api.RawFileStorePrx),
    "createRawPixelsStore": (pictures.RawPixels, omero.api.RawPixelsStorePrx),
    "createRenderingEngine": (pictures.Engine, omero.api.RenderingEnginePrx),
    "createSearchService": (things.Search, omero.api.SearchPrx),
    "createThumbnailStore": (pictures.Thumbnails, omero.api.ThumbnailStorePrx),
}


class Router(Glacier2.Router):
    """Where clients log in. All proxies travel over the connection to it."""

    def __init__(self, server):
        self.server = server

    def getClientProxy(self, current=None):
        return None

    def getServerProxy(self, current=None):
        # Clients do not take a null one.
        return current.adapter.createProxy(Ice.Identity("callbacks", "stand-in"))

    def addProxies(self, proxies, current=None):
        return []

    def getCategoryForClient(self, current=None):
        return "stand-in"

    def createSession_async(self, callback, name, password, current=None):
        try:
            suffer(self.server.switches, "createSession")
            session = self.server.sessions.create(name, password)
        except Refused as reason:
            callback.ice_exception(Glacier2.PermissionDeniedException(str(reason)))
            return
        except Ice.LocalException as error:
            callback.ice_exception(error)
            return
        session.services.setdefault(session.uuid, Factory(self.server, session))
        identity = Ice.Identity(session.uuid, "")
        proxy = current.adapter.createProxy(identity)
        callback.ice_response(Glacier2.SessionPrx.uncheckedCast(proxy))

    def createSessionFromSecureConnection_async(self, callback, current=None):
        callback.ice_exception(Glacier2.PermissionDeniedException("only by name and password"))

    def refreshSession_async(self, callback, current=None):
        callback.ice_response()

    def destroySession(self, current=None):
        """A client leaves; its session goes on, for OMERO.web detaches from each."""

    def getSessionTimeout(self, current=None):
        return int(self.server.sessions.time_to_idle)

    def getACMTimeout(self, current=None):
        return 0


class FactoryMethods(Service):
    def detachOnDestroy(self, current):
        pass

    closeOnDestroy = detachOnDestroy

    def setCallback(self, callback, current):
        pass

    def subscribe(self, topic, proxy, current):
        pass

    def keepAlive(self, proxy, current):
        return True

    def keepAllAlive(self, proxies, current):
        return 0

    def activeServices(self, current):
        return [name for name in self.session.services if name != self.session.uuid]

    def getSecurityContexts(self, current):
        return [self.objects.experimentergroup(self.world.groups[number]) for number in self.session.user.groups]

    def setSecurityContext(self, context, current):
        group = context.id.val
        if group not in self.session.user.groups:
            raise refusal(f"{self.session.user.login} is not in group {group}")
        self.session.group = group

    def sharedResources(self, current):
        proxy = self.proxy("sharedResources", things.SharedResources, current)
        return omero.grid.SharedResourcesPrx.uncheckedCast(proxy)

    def proxy(self, name, service, current):
        self.session.services.setdefault(name, service(self.server, self.session))
        return current.adapter.createProxy(Ice.Identity(name, self.session.uuid))


def stateless(name, service, proxy_class):
    def get(self, current):
        return proxy_class.uncheckedCast(self.proxy(name, service, current))

    return get


def stateful(name, service, proxy_class):
    def create(self, current):
        return proxy_class.uncheckedCast(self.proxy(unique(name), service, current))

    return create


for _name, _found in STATELESS.items():
    setattr(FactoryMethods, _name, stateless(_name, *_found))
for _name, _found in STATEFUL.items():
    setattr(FactoryMethods, _name, stateful(_name, *_found))

Factory = serves(omero.api.ServiceFactory)(FactoryMethods)
