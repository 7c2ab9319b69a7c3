#!/usr/bin/env python3
"""List the scenarios of Molecule as a forge's matrix takes them: those on hosts, and those in containers.

Not those of a distribution that moves, which may break at any time.
"""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = {"hosts": "molecule", "containers": "molecule/containers"}


def names(place):
    paths = (ROOT / PLACES[place]).glob("*/molecule.yml")
    return sorted(path.parent.name for path in paths if "moving: true" not in path.read_text())


if __name__ == "__main__":
    for place in PLACES:
        print(f"{place}={json.dumps(names(place))}")
