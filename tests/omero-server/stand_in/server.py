"""The server itself: Ice, with a way in by tcp and one by ssl, each as it is and by WebSockets."""

import logging
from pathlib import Path

import Glacier2  # noqa: F401
import Ice
import omero.clients  # noqa: F401
from omero import ObjectFactoryRegistrar
from omero.rtypes import ObjectFactories

from . import certificates
from .dispatch import Locator
from .objects import Objects
from .services.entrance import Router
from .sessions import Sessions
from .settings import SWITCHES, BadSettings
from .switches import Switches
from .world import World

logger = logging.getLogger("stand_in")

ROUTER = Ice.Identity("router", "OMERO.Glacier2")
# The calls of many clients at once, some of which hang.
THREADS = 128


class Switched(Switches):
    """Switches that sessions follow, too."""

    def __init__(self, path, sessions):
        super().__init__(path)
        self.sessions = sessions

    @property
    def state(self):
        state = super().state
        self.sessions.lost_before, self.sessions.at_most = state.sessions_lost, state.session_timeout
        return state


class Server:
    def __init__(self, settings):
        self.settings, self.world, self.communicator = settings, World(), None
        self.sessions = Sessions(self.world, settings.passwords, settings.session_timeout)
        self.switches = Switched(Path(settings.directory) / SWITCHES, self.sessions)
        self.configuration = {
            # Empty is what keeps a client where it is.
            "omero.router.insecure": (
                f"OMERO.Glacier2/router:tcp -p {settings.tcp_port} -h @omero.host@"
                if settings.tcp_port and settings.offers_insecure else ""
            ),
            "omero.pixeldata.max_plane_width": "3192",
            "omero.pixeldata.max_plane_height": "3192",
            "omero.client.viewer.roi_limit": "2000",
            "omero.client.viewer.initial_zoom_level": "0",
            "omero.client.viewer.interpolate_pixels": "true",
            "omero.client.download_as.max_size": "144000000",
            "omero.client.scripts_to_ignore": "",
            "omero.client.ui.menu.dropdown.leaders.enabled": "true",
            "omero.client.ui.menu.dropdown.colleagues.enabled": "true",
            "omero.client.ui.menu.dropdown.everyone.enabled": "true",
            "omero.client.ui.tree.orphans.enabled": "true",
            "omero.client.ui.tree.orphans.name": "Orphaned Images",
            "omero.client.ui.tree.type_order": "tagset,tag,project,dataset,screen,plate,acquisition,image",
        }  # fmt: skip

    @property
    def version(self):
        return self.switches.state.version or self.settings.version

    def objects_for(self, session):
        return Objects(self.world, session.user)

    def endpoints(self):
        """The name of each way in, with its endpoint."""
        ports = {name: getattr(self.settings, f"{name}_port") for name in ("tcp", "ssl", "ws", "wss")}
        return {name: f"{name} -h {self.settings.host} -p {port}" for name, port in ports.items() if port}

    def start(self):
        properties = Ice.createProperties()
        for name, value in {
            "Ice.ThreadPool.Server.Size": "4",
            "Ice.ThreadPool.Server.SizeMax": str(THREADS),
            "Ice.ThreadPool.Server.SizeWarn": "0",
            # Larger than any part of a file or picture.
            "Ice.MessageSizeMax": "250000",
            "Ice.Warn.Connections": "0",
            "Ice.ACM.Server.Heartbeat": "0",
            **(certificates.make(self.settings.directory) if self.settings.ssl_port or self.settings.wss_port else {}),
        }.items():
            properties.setProperty(name, value)
        data = Ice.InitializationData()
        data.properties = properties
        self.communicator = Ice.initialize(data)
        # Else what clients send of OMERO's own types cannot be read.
        ObjectFactoryRegistrar.registerObjectFactory(self.communicator, None)
        for factory in ObjectFactories.values():
            factory.register(self.communicator)
        for name, endpoint in self.endpoints().items():
            try:
                adapter = self.communicator.createObjectAdapterWithEndpoints(f"stand-in-{name}", endpoint)
            except Ice.LocalException as error:
                raise BadSettings(f"The stand-in cannot listen at {endpoint}: {error}") from None
            adapter.add(Router(self), ROUTER)
            adapter.addServantLocator(Locator(self), "")
            adapter.activate()
            logger.info("the stand-in for OMERO.server listens: %s", endpoint)

    def stop(self):
        if self.communicator:
            self.communicator.destroy()
