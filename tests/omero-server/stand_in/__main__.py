"""Run the stand-in, or set its switches.

    python -m stand_in serve SETTINGS.json
    python -m stand_in switch [NAME=VALUE ...]
"""

import argparse
import logging
import signal
import sys
import threading

from . import switches
from .settings import DIRECTORY, SWITCHES, BadSettings, read


def serve(path):
    settings = read(path)
    # Ice takes its time, and what is wrong with the settings should be said without it.
    from .server import Server

    server = Server(settings)
    is_over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: is_over.set())
    try:
        server.start()
        is_over.wait()
    finally:
        server.stop()


def main():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="stand_in", description=__doc__, formatter_class=layout)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve").add_argument("settings")
    switch = commands.add_parser("switch")
    switch.add_argument("--file", default=f"{DIRECTORY}/{SWITCHES}", help="where they are (%(default)s)")
    switch.add_argument("words", nargs="*", metavar="NAME=VALUE")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    logging.getLogger("omero").setLevel(logging.WARNING)
    try:
        if arguments.command == "serve":
            serve(arguments.settings)
        else:
            switches.write(arguments.file, switches.parse(arguments.words))
    except (BadSettings, switches.BadSwitch) as error:
        sys.exit(f"stand_in: {error}")


if __name__ == "__main__":
    main()
