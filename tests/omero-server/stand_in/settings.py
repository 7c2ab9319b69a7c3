"""What one sets before the stand-in starts: a JSON file."""

import json
from dataclasses import dataclass, field, fields
from pathlib import Path

DIRECTORY = "/run/omero-server-stand-in"
SWITCHES = "switches.json"


class BadSettings(ValueError):
    """What is wrong with the settings, in one sentence."""


@dataclass(frozen=True)
class Settings:
    # By login: researcher, colleague and public are there. A user without a password cannot log in.
    passwords: dict = field(default_factory=dict)
    # What the server says that it is; OMERO.web from 5.6 on takes 5.5 and later, older ones their own.
    version: str = "5.6.15"
    host: str = "0.0.0.0"
    # 0 is: not at all.
    tcp_port: int = 4063
    ssl_port: int = 4064
    # By WebSockets.
    ws_port: int = 4065
    wss_port: int = 4066
    # Where the certificate is made and the switches are read.
    directory: str = DIRECTORY
    # Seconds after which a session that nobody uses ends.
    session_timeout: float = 600.0
    # Whether clients that need not be secure are sent to the tcp port.
    offers_insecure: bool = True


def read(path):
    try:
        values = json.loads(Path(path).read_text())
    except OSError as error:
        raise BadSettings(f"The settings {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise BadSettings(f"The settings {path} are no JSON: {error}") from None
    if not isinstance(values, dict):
        raise BadSettings(f"The settings {path} are no JSON object")
    known = {one.name: one for one in fields(Settings)}
    for name, value in values.items():
        if name not in known:
            raise BadSettings(f"{path} sets {name!r}, which is no setting; there are {', '.join(known)}")
        wanted = {"passwords": dict, "session_timeout": (int, float)}.get(name, type(getattr(Settings, name, "")))
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise BadSettings(f"{path} sets {name} to a value of the wrong type")
    return Settings(**values)
